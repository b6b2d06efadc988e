/* Why a fixed buffer: an error must be sayable when memory is out. What does not fit is cut at the end, so the outer
 * context, which names the object, is what survives. */
#include "common/base/error.h"

#include <stdarg.h>
#include <string.h>

int error_set(struct error *err, int code, const char *format, ...) {
    if (!err)
        return code;
    va_list ap;
    va_start(ap, format);
    vsnprintf(err->text, sizeof(err->text), format, ap);
    va_end(ap);
    return code;
}

int error_errno(struct error *err, int code, const char *format, ...) {
    if (!err)
        return code;
    va_list ap;
    va_start(ap, format);
    vsnprintf(err->text, sizeof(err->text), format, ap);
    va_end(ap);
    size_t used = strlen(err->text);
    snprintf(err->text + used, sizeof(err->text) - used, ": %s", strerror(-code));
    return code;
}

int error_context(struct error *err, int code, const char *format, ...) {
    if (!err)
        return code;
    char inner[KEDGE_ERROR_TEXT_MAX];
    memcpy(inner, err->text, sizeof(inner));
    va_list ap;
    va_start(ap, format);
    vsnprintf(err->text, sizeof(err->text), format, ap);
    va_end(ap);
    size_t used = strlen(err->text);
    snprintf(err->text + used, sizeof(err->text) - used, ": %s", inner);
    return code;
}
