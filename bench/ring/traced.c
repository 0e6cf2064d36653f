/* A process to trace: calls traced_call() as fast as it can until it is ended, and then says how often. */
#include <signal.h>
#include <stdio.h>

static volatile sig_atomic_t ended;

static void on_signal(int number)
{
	ended = 1;
}

__attribute__((noinline)) void traced_call(unsigned value)
{
	__asm__ volatile("" : : "r"(value));
}

int main(void)
{
	unsigned calls = 0;

	signal(SIGTERM, on_signal);
	/* It begins when it is told to: once whoever traces it is ready. */
	getchar();
	while (!ended)
		traced_call(calls++);
	printf("%u\n", calls);
	return 0;
}
