/* A PKCS#11 module with one token and no keys, for the tests of pool.rs: it counts sessions and logins.
 *
 * The PIN, a number, is what C_Login answers. A session gets the lowest handle that is free, as careless modules do it.
 * C_GetTokenInfo tells what was counted where the token says how many sessions there are and may be. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef unsigned long U;
enum { ROOM = 64 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static U initialized, open[ROOM + 1], sessions, most, logins, strange;

static U initialize(void *args) {
    if (initialized) return 0x191; /* CKR_CRYPTOKI_ALREADY_INITIALIZED */
    initialized = 1;
    return 0;
}

static U finalize(void *reserved) {
    memset(open, 0, sizeof open);
    initialized = sessions = 0;
    return 0;
}

static U slot_list(unsigned char present, U *list, U *count) {
    if (list) *list = 0;
    *count = 1;
    return 0;
}

struct token_info {
    char names[96]; /* the label is its first 32 */
    U flags, max_sessions, sessions, max_rw_sessions, rw_sessions, rest[6];
    char versions[20];
};

static U token_info(U slot, struct token_info *info) {
    memset(info, 0, sizeof *info);
    memset(info->names, ' ', sizeof info->names);
    memcpy(info->names, "sealog", 6);
    memset(info->versions, '0', sizeof info->versions);
    info->flags = 0x400; /* CKF_TOKEN_INITIALIZED */
    info->sessions = sessions;
    info->max_sessions = most + 1; /* 0 would mean: no bound */
    info->rw_sessions = logins;
    info->max_rw_sessions = strange + 1;
    return 0;
}

static U open_session(U slot, U flags, void *application, void *notify, U *session) {
    U handle = 1, answer = 0xB1; /* CKR_SESSION_COUNT */
    if (!initialized) return 0x190;
    pthread_mutex_lock(&lock);
    while (handle <= ROOM && open[handle]) handle++;
    if (handle <= ROOM) {
        open[handle] = 1;
        *session = handle;
        if (++sessions > most) most = sessions;
        answer = 0;
    }
    pthread_mutex_unlock(&lock);
    return answer;
}

static U close_session(U session) {
    U answer = 0xB3; /* CKR_SESSION_HANDLE_INVALID */
    pthread_mutex_lock(&lock);
    if (session <= ROOM && open[session]) {
        open[session] = 0;
        sessions--;
        answer = 0;
    } else {
        strange++;
    }
    pthread_mutex_unlock(&lock);
    return answer;
}

static U login(U session, U user, const char *pin, U length) {
    char text[32] = "";
    memcpy(text, pin, length < 31 ? length : 31);
    usleep(3000); /* time for others to come by the same way */
    pthread_mutex_lock(&lock);
    logins++;
    pthread_mutex_unlock(&lock);
    return strtoul(text, 0, 0);
}

typedef U (*function)();
static struct {
    unsigned char version[2];
    function functions[68];
} list;

U C_GetFunctionList(void **out) {
    list.version[0] = 2;
    list.version[1] = 40;
    list.functions[0] = (function)initialize;
    list.functions[1] = (function)finalize;
    list.functions[3] = (function)C_GetFunctionList;
    list.functions[4] = (function)slot_list;
    list.functions[6] = (function)token_info;
    list.functions[12] = (function)open_session;
    list.functions[13] = (function)close_session;
    list.functions[18] = (function)login;
    *out = &list;
    return 0;
}
