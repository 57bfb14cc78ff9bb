/*
 * failing_malloc.c
 *	  To be preloaded into a server: lets one allocation of one backend fail.
 *
 * Counted are the calls of malloc(), calloc(), realloc(), strdup() and strndup()
 * that come from the libraries in watched[].  While the file
 * $FAILING_MALLOC_DIR/<process id> says fail_at = n, the n-th of them fails, and all
 * others pass; seen and failed tell what has happened since these were set to zero,
 * and where the function that was failed.  Without that file, nothing happens.
 *
 *     gcc -shared -fPIC -O2 -o failing_malloc.so failing_malloc.c
 *
 * For glibc, whose own allocator is behind it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);

typedef struct Orders
{
	int64_t		fail_at;		/* 0: none */
	int64_t		seen;
	int64_t		failed;
	char		where[232];
} Orders;

static const char *const watched[] = {
	"/stripe_credit.so", "/stripe_credit_curl.so", "/libcurl.so", "/libcrypto.so", "/libssl.so",
	"/libnghttp2.so"
};

static char directory[1000];	/* the server moves its environment */
static Orders *orders;			/* of the process whose id this is */
static pid_t orders_of;

__attribute__((constructor))
static void
remember_directory(void)
{
	const char *value = getenv("FAILING_MALLOC_DIR");

	if (value && strlen(value) < sizeof(directory))
		strcpy(directory, value);
}

static int
is_library_watched(const void *caller)
{
	Dl_info		info;
	size_t		i;

	if (!dladdr(caller, &info) || info.dli_fname == NULL)
		return 0;
	for (i = 0; i < sizeof(watched) / sizeof(watched[0]); i++)
		if (strstr(info.dli_fname, watched[i]))
			return 1;
	return 0;
}

/* dladdr() takes long, so callers are remembered, with the answer as the lowest bit. */
static int
is_watched(const void *caller)
{
	static uintptr_t known[4096];
	uintptr_t	address = (uintptr_t) caller;
	uintptr_t  *slot = &known[(address ^ address >> 12) % 4096];
	uintptr_t	entry = __atomic_load_n(slot, __ATOMIC_RELAXED);

	if (entry >> 1 != address)
	{
		entry = address << 1 | (uintptr_t) is_library_watched(caller);
		__atomic_store_n(slot, entry, __ATOMIC_RELAXED);
	}
	return (int) (entry & 1);
}

/* NULL while there are none for this process. */
static Orders *
find_orders(void)
{
	char		path[sizeof(directory) + 32];
	pid_t		self = getpid();
	void	   *map;
	int			fd;

	if (orders_of == self)
		return orders;
	snprintf(path, sizeof(path), "%s/%ld", directory, (long) self);
	if ((fd = open(path, O_RDWR | O_CLOEXEC)) < 0)
		return NULL;
	map = mmap(NULL, sizeof(Orders), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (map == MAP_FAILED)
		return NULL;
	orders = map;
	orders_of = self;
	return orders;
}

static void
note_where(Orders *found, const void *caller)
{
	Dl_info		info;
	const char *slash;
	const char *base;

	if (!dladdr(caller, &info))
		return;
	slash = strrchr(info.dli_fname, '/');
	base = info.dli_saddr ? info.dli_saddr : info.dli_fbase;
	snprintf(found->where, sizeof(found->where), "%s %s+0x%lx", slash ? slash + 1 : info.dli_fname,
			 info.dli_sname ? info.dli_sname : "?",
			 (unsigned long) ((const char *) caller - base));
}

/* Whether this allocation has to fail.  errno stays as it was, unless it has. */
static int
must_fail(const void *caller)
{
	int			save_errno = errno;
	Orders	   *found;

	if (directory[0] == '\0' || !is_watched(caller))
		return 0;
	found = find_orders();
	errno = save_errno;
	if (found == NULL || found->fail_at == 0 ||
		__atomic_add_fetch(&found->seen, 1, __ATOMIC_SEQ_CST) != found->fail_at)
		return 0;
	note_where(found, caller);
	found->failed++;
	errno = ENOMEM;
	return 1;
}

void *
malloc(size_t size)
{
	return must_fail(__builtin_return_address(0)) ? NULL : __libc_malloc(size);
}

void *
calloc(size_t count, size_t size)
{
	return must_fail(__builtin_return_address(0)) ? NULL : __libc_calloc(count, size);
}

void *
realloc(void *old, size_t size)
{
	return must_fail(__builtin_return_address(0)) ? NULL : __libc_realloc(old, size);
}

static char *
duplicate(const char *text, size_t length)
{
	char	   *copy = __libc_malloc(length + 1);

	if (copy == NULL)
		return NULL;
	memcpy(copy, text, length);
	copy[length] = '\0';
	return copy;
}

char *
strdup(const char *text)
{
	return must_fail(__builtin_return_address(0)) ? NULL : duplicate(text, strlen(text));
}

char *
strndup(const char *text, size_t most)
{
	return must_fail(__builtin_return_address(0)) ? NULL : duplicate(text, strnlen(text, most));
}
