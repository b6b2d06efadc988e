/* Why a word names the serial of its plan: it must not outlive what it weakens, so the next plan begins with all of its
 * gates again. Why it expires as well: a waiver that was given for tonight must not pass in a run that waited a week. */
#include "common/plan/word.h"

#include "common/plan/check_parts.h"
#include "common/plan/encoding.h"

#include <string.h>

const char *word_kind_text(enum word_kind kind) {
    switch (kind) {
    case WORD_WAIVE: return "waive";
    case WORD_SKIP: return "skip";
    case WORD_RETIRE: return "retire";
    case WORD_PROMOTE: return "promote";
    }
    return "?";
}

static int life_check(const struct word *word, struct error *err) {
    if (word->created_s == 0 || word->expires_s <= word->created_s)
        return error_set(err, -EBADMSG, "it expires before it was made");
    if (word->expires_s - word->created_s > WORD_LIFE_S_MAX)
        return error_set(err, -EBADMSG, "it holds for %llu s, at most %d",
                         (unsigned long long)(word->expires_s - word->created_s), WORD_LIFE_S_MAX);
    return 0;
}

int word_check(const struct word *word, struct error *err) {
    int r = format_check(word->format, "word", err);
    if (r == 0)
        r = member_name_check(word->member, word->cluster, err);
    if (r == 0 && word->serial == 0)
        r = error_set(err, -EBADMSG, "it names no plan");
    if (r == 0 && (word->kind == WORD_WAIVE) != (word->gate[0] != 0))
        r = error_set(err, -EBADMSG, "%s",
                      word->kind == WORD_WAIVE ? "it names no gate"
                                               : "it names a gate, which only waive does");
    if (r == 0 && !word->reason[0])
        r = error_set(err, -EBADMSG, "it gives no reason");
    if (r == 0 && !word->author[0])
        r = error_set(err, -EBADMSG, "it has no author");
    return r == 0 ? life_check(word, err) : r;
}

static int time_check(const struct word *word, uint64_t now_s, struct error *err) {
    if (now_s > 0 && word->expires_s < now_s)
        return error_set(err, -ESTALE, "it expired %llu s ago; sign it anew, or check this host's clock",
                         (unsigned long long)(now_s - word->expires_s));
    return 0;
}

int word_verify(const struct trust_anchors *anchors, struct bytes blob, uint64_t now_s, struct arena *arena,
                const struct word **outp, struct error *err) {
    struct signed_blob signed_blob;
    struct word *word;
    int r = 0;
    if (!anchors->operators || anchors->operator_threshold == 0)
        r = error_set(err, -EPERM, "no operator keys are trusted here");
    if (r == 0 && blob.len > WORD_BYTES_MAX)
        r = error_set(err, -EBADMSG, "%zu bytes, at most %d", blob.len, WORD_BYTES_MAX);
    if (r == 0)
        r = signed_blob_decode(&signed_blob, blob, err);
    if (r == 0)
        r = signed_blob_verify(&signed_blob, TRUST_OPERATOR_WORD, anchors->operators, anchors->n_operators,
                               anchors->operator_threshold, err);
    if (r == 0)
        r = codec_decode(&word_codec, signed_blob.bytes, arena, &word, err);
    if (r == 0)
        r = word_check(word, err);
    if (r == 0)
        r = time_check(word, now_s, err);
    if (r < 0)
        return error_context(err, r, "operator's word");
    *outp = word;
    return 0;
}

void word_text(const struct word *word, char *out, size_t size) {
    snprintf(out, size, "%s %s%s%s%s in plan %llu", word_kind_text(word->kind),
             word->kind == WORD_WAIVE ? "gate " : "", word->gate, word->kind == WORD_WAIVE ? " of " : "",
             word->member, (unsigned long long)word->serial);
}
