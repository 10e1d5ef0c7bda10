/*
 * Preloaded into User Mode Linux, on processors whose register state is larger than the 2696 bytes that
 * Linux 6.1 allows for (those with AMX). There the host's kernel takes the whole state or nothing, so the
 * guest's first process dies of a SIGSEGV. Here the rest of the state is added; no guest can use it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

/* The header of the state says which parts follow it; 17 and 18 are AMX's. */
#define XSTATE_BV 512
#define AMX ((uint64_t)3 << 17)

typedef long (*tracer)(enum __ptrace_request request, pid_t pid, void *address, void *data);

long ptrace(enum __ptrace_request request, ...)
{
	/* A kernel's stack is too small for it; no two callers are ever at work at once. */
	static uint64_t state[8192];
	static size_t whole;
	static tracer next;
	va_list arguments;

	va_start(arguments, request);
	pid_t pid = va_arg(arguments, pid_t);
	void *address = va_arg(arguments, void *);
	void *data = va_arg(arguments, void *);
	va_end(arguments);
	if (!next)
		next = (tracer)dlsym(RTLD_NEXT, "ptrace");
	if (request != PTRACE_SETREGSET || (uintptr_t)address != NT_X86_XSTATE)
		return next(request, pid, address, data);

	const struct iovec *given = data;
	if (!whole) {
		struct iovec all = {state, sizeof state};
		if (next(PTRACE_GETREGSET, pid, address, &all) < 0)
			return -1;
		whole = all.iov_len;
	}
	if (given->iov_len >= whole)
		return next(request, pid, address, data);
	memset(state, 0, whole);
	memcpy(state, given->iov_base, given->iov_len);
	state[XSTATE_BV / sizeof *state] &= ~AMX;
	struct iovec all = {state, whole};
	return next(request, pid, address, &all);
}
