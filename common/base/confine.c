/* Why the drop is checked afterwards: setresuid() that silently leaves a way back is the classic hole; a process that
 * can still become root must not go on. */
#include "common/base/confine.h"

#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>

int account_find(const char *user, struct account *outp, struct error *err) {
    errno = 0;
    const struct passwd *entry = getpwnam(user);
    if (!entry)
        return errno ? error_errno(err, -errno, "user %s", user)
                     : error_set(err, -ENOENT, "user %s: there is no such user on this node", user);
    *outp = (struct account){entry->pw_uid, entry->pw_gid};
    return 0;
}

int confine_resource(int resource, uint64_t max, struct error *err) {
    struct rlimit limit;
    if (getrlimit((__rlimit_resource_t)resource, &limit) < 0)
        return error_errno(err, -errno, "limit %d", resource);
    if (limit.rlim_cur > max)
        limit.rlim_cur = max;
    if (limit.rlim_max > max)
        limit.rlim_max = max;
    if (setrlimit((__rlimit_resource_t)resource, &limit) < 0)
        return error_errno(err, -errno, "limit %d", resource);
    return 0;
}

static int become(const struct account *account, struct error *err) {
    if (setgroups(0, NULL) < 0 || setresgid(account->gid, account->gid, account->gid) < 0 ||
        setresuid(account->uid, account->uid, account->uid) < 0)
        return error_errno(err, -errno, "cannot become user %u", (unsigned)account->uid);
    if (account->uid != 0 && (setuid(0) == 0 || geteuid() == 0))
        return error_set(err, -EPERM, "user %u can still become root", (unsigned)account->uid);
    return 0;
}

int confine(const struct account *account, struct error *err) {
    int r = account && geteuid() == 0 ? become(account, err) : 0;
    if (r < 0)
        return r;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return error_errno(err, -errno, "cannot forbid new privileges");
    return confine_resource(RLIMIT_CORE, 0, err);
}
