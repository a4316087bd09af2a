//go:build amxemu

#define _GNU_SOURCE
#include "tiles.h"
#include <signal.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

static __thread struct tiles state;
static struct sigaction before;
static uint64_t total;

static const int general[16] = {
	REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
	REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
};

static void tell(const char *s) {
	if (write(2, s, strlen(s)) < 0) return; // there is nobody else to tell
}

static void on_illegal(int sig, siginfo_t *info, void *context) {
	greg_t *g = ((ucontext_t *)context)->uc_mcontext.gregs;
	registers r;
	uint64_t products = 0;
	const char *fault = NULL;
	for (int i = 0; i < 16; i++) r[i] = g[general[i]];
	int n = execute(&state, (const uint8_t *)g[REG_RIP], r, &products, &fault);
	if (n > 0) {
		g[REG_RIP] += n;
		__atomic_add_fetch(&total, products, __ATOMIC_RELAXED);
		return;
	}
	if (fault != NULL) {
		tell("amxemu: ");
		tell(fault);
		tell("\n");
	}
	// Whoever was asked before knows what to do with an instruction that nobody has: Go's runtime does.
	if (before.sa_flags & SA_SIGINFO) {
		before.sa_sigaction(sig, info, context);
		return;
	}
	signal(sig, SIG_DFL);
}

int install(void) {
	struct sigaction a;
	memset(&a, 0, sizeof a);
	a.sa_sigaction = on_illegal;
	a.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
	sigfillset(&a.sa_mask);
	return sigaction(SIGILL, &a, &before);
}

uint64_t total_products(void) { return __atomic_load_n(&total, __ATOMIC_RELAXED); }
