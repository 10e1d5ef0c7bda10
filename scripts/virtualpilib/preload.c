/* Preloaded into User Mode Linux, whose kernel calls the C library: two faults of Linux 6.1, mended there. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* The header of the state says which parts follow it; 17 and 18 are AMX's. */
#define XSTATE_BV 512
#define AMX ((uint64_t)3 << 17)

/* CONFIG_KERNEL_STACK_ORDER=2; a stack begins at a multiple of it. */
#define STACK_BYTES ((uintptr_t)16384)

typedef long (*tracer)(enum __ptrace_request request, pid_t pid, void *address, void *data);

/*
 * A page of the kernel that is to be mapped anew is unmapped first. With CONFIG_VMAP_STACK that can be the first
 * page of the stack which it stands on. The next signal's handler looks there, and faults; the handler of that
 * finds the first one at work, leaves it alone, and it faults again, for ever (to_irq_stack in
 * arch/um/kernel/irq.c). So what we stand on stays until the mapping that follows replaces it.
 */
int munmap(void *address, size_t length)
{
	uintptr_t begin = (uintptr_t)address, end = begin + length;
	uintptr_t stack = (uintptr_t)__builtin_frame_address(0) & ~(STACK_BYTES - 1);
	uintptr_t above = stack + STACK_BYTES;

	if (end <= stack || begin >= above)
		return (int)syscall(SYS_munmap, begin, length);
	if (begin < stack && syscall(SYS_munmap, begin, stack - begin) < 0)
		return -1;
	if (end > above && syscall(SYS_munmap, above, end - above) < 0)
		return -1;
	return 0;
}

/*
 * Some processors have a larger register state than the 2696 bytes that the kernel allows for (those with AMX).
 * There the host's kernel takes the whole state or nothing, so the guest's first process dies of a SIGSEGV.
 * Here the rest of the state is added; no guest can use it.
 */
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
