/*
 * Preloaded into User Mode Linux: the guest's clock, which stands still whenever this machine gives the guest no
 * processor, goes faster whenever the guest has nothing to do, and slower while it works.
 *
 * A guest looks at its clock when its timer rings, which it has set for its next tick or for what it sleeps for. Where
 * it looks later than that, somebody else had the processor, and what is beyond LATE_NS is taken off: in there it did
 * not happen. While it has nothing to do, which is most of the time of a test that takes seconds, it sleeps IDLE_SPEED
 * times as fast. While it works, a second of it takes WORK_PRICE of ours: it is as fast as if its system calls were not
 * as dear as they are, and has time to spare where this machine is slow for a moment.
 *
 * All of this runs on the kernel's only thread, and in signal handlers on top of it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#define SECOND_NS INT64_C(1000000000)
/* The kernel lets no signal interrupt it in some places, where it may be at work. */
#define LATE_NS INT64_C(2000000)

static int (*real_clock)(clockid_t clock, struct timespec *time);
static int (*real_timer)(timer_t timer, int flags, const struct itimerspec *new, struct itimerspec *old);
static int (*real_suspend)(const sigset_t *mask);
static int64_t idle_speed, work_price;

/*
 * What the guest was told last, the real time then, and whether it has slept since. A signal's handler looks at the
 * clock, too, in the midst of a look, so all of it changes at once or not at all.
 */
typedef unsigned __int128 whole;
union look {
	struct {
		int64_t guest_ns;
		int64_t real_ns : 63;
		uint64_t asleep : 1;
	};
	whole whole;
};
_Static_assert(sizeof(union look) == sizeof(whole), "all of it at once");
static volatile whole last;
static timer_t its_timer;
/* When it rings, in the guest's time; 0 is never. */
static volatile int64_t deadline_ns;

static int64_t at_least_one(const char *variable)
{
	const char *value = getenv(variable);
	int64_t number = value ? atoi(value) : 1;

	return number < 1 ? 1 : number;
}

__attribute__((constructor)) static void prepare(void)
{
	idle_speed = at_least_one("VIRTUAL_PI_IDLE_SPEED");
	work_price = at_least_one("VIRTUAL_PI_WORK_PRICE");
	real_clock = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
	real_timer = (int (*)(timer_t, int, const struct itimerspec *, struct itimerspec *))dlsym(
		RTLD_NEXT, "timer_settime");
	real_suspend = (int (*)(const sigset_t *))dlsym(RTLD_NEXT, "sigsuspend");
}

static int64_t in_ns(const struct timespec *time)
{
	return time->tv_sec * SECOND_NS + time->tv_nsec;
}

static struct timespec in_seconds(int64_t ns)
{
	return (struct timespec){.tv_sec = ns / SECOND_NS, .tv_nsec = ns % SECOND_NS};
}

static int64_t smaller(int64_t one, int64_t other)
{
	return one < other ? one : other;
}

static int64_t look(bool before_sleep)
{
	union look before, after;

	do {
		struct timespec time;

		before.whole = last;
		real_clock(CLOCK_MONOTONIC, &time);
		int64_t now_ns = in_ns(&time), deadline = deadline_ns;
		int64_t passed = before.real_ns ? now_ns - before.real_ns : now_ns;
		int64_t odd_ns = before.asleep ? 0 : passed % work_price;

		passed = before.asleep ? passed * idle_speed : passed / work_price;
		if (deadline) {
			int64_t until = deadline - before.guest_ns;
			passed = smaller(passed, (until > 0 ? until : 0) + LATE_NS);
		}
		after.guest_ns = before.guest_ns + passed;
		/* Not to be lost, however often it looks. */
		after.real_ns = now_ns - odd_ns;
		after.asleep = before_sleep;
	} while (!__sync_bool_compare_and_swap(&last, before.whole, after.whole));
	return after.guest_ns;
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
	if (clock != CLOCK_MONOTONIC)
		return real_clock(clock, time);
	*time = in_seconds(look(false));
	return 0;
}

/* Set the real timer for what it rings at in the guest's time, as fast as it passes then. */
static void ring(bool before_sleep)
{
	int64_t deadline;

	do {
		deadline = deadline_ns;
		int64_t left = deadline - look(before_sleep);
		int64_t really = before_sleep ? left / idle_speed + 1 : left * work_price;
		struct itimerspec once = {.it_value = in_seconds(really)};

		if (left > 0)
			real_timer(its_timer, 0, &once, NULL);
		/* A handler may have set it anew, which the line above has undone. */
	} while (deadline != deadline_ns);
}

/* Only the kernel's first seconds have an interval, and those do not sleep. */
int timer_settime(timer_t timer, int flags, const struct itimerspec *new, struct itimerspec *old)
{
	int64_t ns = in_ns(&new->it_value), interval_ns = in_ns(&new->it_interval);
	struct itimerspec really = {in_seconds(interval_ns * work_price), in_seconds(ns * work_price)};

	its_timer = timer;
	deadline_ns = ns && !interval_ns ? look(false) + ns : 0;
	return real_timer(timer, flags, &really, old);
}

/* How the kernel waits for its timer, which is blocked until then, or any other signal (os_idle_sleep). */
int sigsuspend(const sigset_t *mask)
{
	ring(true);
	int result = real_suspend(mask);
	ring(false);
	return result;
}
