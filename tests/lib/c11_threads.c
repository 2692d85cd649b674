/* SPDX-License-Identifier: Apache-2.0 */
/*
 * C11's threads, of POSIX ones: for the build with the thread sanitizer only.
 *
 * librdkafka starts threads and locks with <threads.h>, which the sanitizer of
 * gcc does not know: it crashes in the first such thread, and would not see
 * what orders them. A program that has these functions gives them to the
 * libraries that it loads, in the place of the C library's. So it does with
 * rwlocks: what a library calls itself is not looked at (tests/thread.supp).
 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <threads.h>

_Static_assert(sizeof(mtx_t) >= sizeof(pthread_mutex_t), "mtx_t holds a mutex");
_Static_assert(sizeof(cnd_t) >= sizeof(pthread_cond_t), "cnd_t holds a condition");

struct start {
	thrd_start_t fn;
	void *arg;
};

static int
result(int code)
{
	switch (code) {
	case 0:
		return thrd_success;
	case ENOMEM:
		return thrd_nomem;
	case ETIMEDOUT:
		return thrd_timedout;
	case EBUSY:
		return thrd_busy;
	default:
		return thrd_error;
	}
}

static void *
run(void *arg)
{
	struct start start = *(struct start *)arg;

	free(arg);
	return (void *)(intptr_t)start.fn(start.arg);
}

int
thrd_create(thrd_t *ret, thrd_start_t fn, void *arg)
{
	struct start *start = malloc(sizeof(*start));
	int code;

	if (!start)
		return thrd_nomem;
	*start = (struct start){ fn, arg };
	code = pthread_create(ret, /* attr= */ NULL, run, start);
	if (code != 0)
		free(start);
	return result(code);
}

int
thrd_join(thrd_t thread, int *ret)
{
	void *value = NULL;
	int code = pthread_join(thread, &value);

	if (code == 0 && ret)
		*ret = (int)(intptr_t)value;
	return result(code);
}

int
mtx_init(mtx_t *m, int type)
{
	pthread_mutexattr_t attr;
	int code;

	pthread_mutexattr_init(&attr);
	if (type & mtx_recursive)
		pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
	code = pthread_mutex_init((pthread_mutex_t *)m, &attr);
	pthread_mutexattr_destroy(&attr);
	return result(code);
}

int
mtx_lock(mtx_t *m)
{
	return result(pthread_mutex_lock((pthread_mutex_t *)m));
}

int
mtx_trylock(mtx_t *m)
{
	return result(pthread_mutex_trylock((pthread_mutex_t *)m));
}

int
mtx_unlock(mtx_t *m)
{
	return result(pthread_mutex_unlock((pthread_mutex_t *)m));
}

void
mtx_destroy(mtx_t *m)
{
	pthread_mutex_destroy((pthread_mutex_t *)m);
}

int
cnd_init(cnd_t *c)
{
	return result(pthread_cond_init((pthread_cond_t *)c, /* attr= */ NULL));
}

int
cnd_signal(cnd_t *c)
{
	return result(pthread_cond_signal((pthread_cond_t *)c));
}

int
cnd_broadcast(cnd_t *c)
{
	return result(pthread_cond_broadcast((pthread_cond_t *)c));
}

int
cnd_wait(cnd_t *c, mtx_t *m)
{
	return result(pthread_cond_wait((pthread_cond_t *)c, (pthread_mutex_t *)m));
}

int
cnd_timedwait(cnd_t *c, mtx_t *m, const struct timespec *until)
{
	return result(pthread_cond_timedwait((pthread_cond_t *)c, (pthread_mutex_t *)m, until));
}

void
cnd_destroy(cnd_t *c)
{
	pthread_cond_destroy((pthread_cond_t *)c);
}

void
call_once(once_flag *flag, void (*fn)(void))
{
	pthread_once((pthread_once_t *)flag, fn);
}

/* The sanitizer's function of that name, called from here. */
static int
rwlock_call(const char *name, pthread_rwlock_t *lock)
{
	int (*fn)(pthread_rwlock_t *lock);
	void *next = dlsym(RTLD_NEXT, name);

	if (!next)
		abort();
	*(void **)&fn = next;
	return fn(lock);
}

int
pthread_rwlock_rdlock(pthread_rwlock_t *lock)
{
	return rwlock_call("pthread_rwlock_rdlock", lock);
}

int
pthread_rwlock_wrlock(pthread_rwlock_t *lock)
{
	return rwlock_call("pthread_rwlock_wrlock", lock);
}

int
pthread_rwlock_unlock(pthread_rwlock_t *lock)
{
	return rwlock_call("pthread_rwlock_unlock", lock);
}
