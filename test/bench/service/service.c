/* The service that is put under supervision. It costs as little as a program in C can,
 * so that what is measured is the supervisor. Each thing that happens to it is one
 * record, written to the FIFO /b/events:
 *
 *     u8 type, u8[3], u32 number, u32 pid, u32, u64 time (CLOCK_MONOTONIC, ns), u64 extra
 *
 * S it has been executed, T it got TERM, H it got HUP, D it has made its orphans (extra:
 * ns), L it has written its lines (extra: bytes).
 *
 *     svc pause NUMBER             waits for TERM
 *     svc stubborn NUMBER          ignores TERM
 *     svc orphans NUMBER COUNT     makes orphans 0.3 s after its start
 *     svc log NUMBER BYTES LINES   writes lines of 100 bytes, LINES with one write(2)
 *
 * As the interpreter of a script it gets all of this as one argument.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static uint32_t number;

static uint64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void tell(char type, uint64_t time, uint64_t extra)
{
	struct {
		uint8_t type, pad[3];
		uint32_t number, pid, pad2;
		uint64_t time, extra;
	} r = { .type = type, .number = number, .pid = getpid(), .time = time, .extra = extra };
	int fd = open("/b/events", O_WRONLY | O_NONBLOCK);
	if (fd < 0)
		return;
	if (write(fd, &r, sizeof r) < 0)
		_exit(3);
	close(fd);
}

/* serve ends the program at TERM, unless it is to ignore that. */
static void serve(const sigset_t *set, int stubborn)
{
	for (;;) {
		int sig = sigwaitinfo(set, 0);
		uint64_t t = now();
		if (sig == SIGTERM) {
			tell('T', t, 0);
			if (!stubborn)
				_exit(0);
		} else if (sig == SIGHUP) {
			tell('H', t, 0);
		}
	}
}

static char stack[2][4096] __attribute__((aligned(16)));

static int end(void *arg)
{
	(void)arg;
	_exit(0);
}

static int leave(void *arg)
{
	(void)arg;
	clone(end, stack[1] + sizeof stack[1], CLONE_VM | SIGCHLD, 0);
	_exit(0);
}

/* orphan makes one: its child has a child and ends. All share our memory, so that no
 * page tables are copied. */
static void orphan(void)
{
	pid_t pid;
	while ((pid = clone(leave, stack[0] + sizeof stack[0], CLONE_VM | CLONE_VFORK | SIGCHLD, 0)) < 0)
		sched_yield();
	while (waitpid(pid, 0, 0) < 0 && errno == EINTR)
		;
}

static void orphans(const sigset_t *set, long count)
{
	struct timespec quiet = { 0, 300000000 };
	sigtimedwait(set, 0, &quiet);
	uint64_t began = now();
	for (long i = 0; i < count; i++)
		orphan();
	tell('D', now(), now() - began);
}

static void lines(uint64_t bytes, int count)
{
	static char buf[400 * 100];
	uint64_t done = 0;
	for (int i = 0; i < count * 100; i++)
		buf[i] = i % 100 == 99 ? '\n' : 'a' + i % 100 % 26;
	while (done < bytes) {
		int n = count * 100;
		if ((uint64_t)n > bytes - done)
			n = bytes - done;
		for (int at = 0; at < n;) {
			ssize_t w = write(1, buf + at, n - at);
			if (w < 0 && errno != EINTR && errno != EAGAIN) {
				tell('L', now(), done + at);
				return;
			}
			at += w < 0 ? 0 : w;
		}
		done += n;
	}
	tell('L', now(), done);
}

int main(int argc, char **argv)
{
	uint64_t began = now();
	char *word[8] = { 0 };
	int words = 0;
	for (int i = 1; i < argc && words < 7; i++)
		for (char *w = strtok(argv[i], " "); w && words < 7; w = strtok(0, " "))
			word[words++] = w;
	if (words < 2)
		return 64;
	number = atoi(word[1]);
	signal(SIGTERM, SIG_DFL);
	signal(SIGHUP, SIG_DFL);
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, 0);
	tell('S', began, 0);
	if (!strcmp(word[0], "orphans") && words > 2)
		orphans(&set, atol(word[2]));
	if (!strcmp(word[0], "log") && words > 3)
		lines(strtoull(word[2], 0, 10), atoi(word[3]));
	serve(&set, !strcmp(word[0], "stubborn"));
}
