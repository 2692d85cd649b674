/* SPDX-License-Identifier: Apache-2.0 */
#include "seccomp.h"

#include <assert.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "envdriver/isolation/jail.h"

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

#ifdef ARCHITECTURE

/* The same on all processors, and newer than some headers. */
enum {
	NR_PIDFD_GETFD = 438, NR_PROCESS_MADVISE = 440, NR_PROCESS_MRELEASE = 448,
	NR_OPEN_TREE = 428, NR_MOVE_MOUNT = 429, NR_FSOPEN = 430, NR_FSCONFIG = 431,
	NR_FSMOUNT = 432, NR_FSPICK = 433, NR_MOUNT_SETATTR = 442, NR_QUOTACTL_FD = 443,
	NR_OPEN_TREE_ATTR = 467, NR_IO_URING_SETUP = 425, NR_IO_URING_ENTER = 426,
	NR_IO_URING_REGISTER = 427, NR_CLONE3 = 435,
	X32_BIT = 0x40000000,
	NEW_TIME = 0x80,	/* CLONE_NEWTIME; in clone's flags these bits are the signal */
	IOPRIO_PROCESS = 1,
	NO_RANDOMIZE = 0x0040000,
};

#define NAMESPACES (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | \
		    CLONE_NEWPID | CLONE_NEWNET)
/* Where one of 64 bits lies: both processors are little-endian. */
#define ARG(n) (offsetof(struct seccomp_data, args) + (n) * sizeof(uint64_t))
#define ARG_HIGH(n) (ARG(n) + sizeof(uint32_t))
#define LOAD BPF_LD | BPF_W | BPF_ABS

/* A call that is refused whatever it asks for, unless `permit` (0: never) is given. */
static const struct refused {
	unsigned nr;
	int error;
	unsigned permit;
} refused[] = {
	/* Other processes. */
	{ SYS_ptrace, EPERM, JAIL_PTRACE },
	{ SYS_process_vm_readv, EPERM, JAIL_PTRACE },
	{ SYS_process_vm_writev, EPERM, JAIL_PTRACE },
	{ SYS_kcmp, EPERM, JAIL_PTRACE },
	{ NR_PIDFD_GETFD, EPERM, JAIL_PTRACE },
	{ NR_PROCESS_MADVISE, EPERM, 0 },
	{ NR_PROCESS_MRELEASE, EPERM, 0 },
	{ SYS_move_pages, EPERM, 0 },
	{ SYS_migrate_pages, EPERM, 0 },
	/* What files are where. */
	{ SYS_mount, EPERM, JAIL_NAMESPACES },
	{ SYS_umount2, EPERM, JAIL_NAMESPACES },
	{ SYS_pivot_root, EPERM, JAIL_NAMESPACES },
	{ SYS_chroot, EPERM, JAIL_NAMESPACES },
	{ SYS_setns, EPERM, JAIL_NAMESPACES },
	{ SYS_sethostname, EPERM, JAIL_NAMESPACES },
	{ SYS_setdomainname, EPERM, JAIL_NAMESPACES },
	{ NR_OPEN_TREE, EPERM, JAIL_NAMESPACES },
	{ NR_MOVE_MOUNT, EPERM, JAIL_NAMESPACES },
	{ NR_FSOPEN, EPERM, JAIL_NAMESPACES },
	{ NR_FSCONFIG, EPERM, JAIL_NAMESPACES },
	{ NR_FSMOUNT, EPERM, JAIL_NAMESPACES },
	{ NR_FSPICK, EPERM, JAIL_NAMESPACES },
	{ NR_MOUNT_SETATTR, EPERM, JAIL_NAMESPACES },
	{ NR_OPEN_TREE_ATTR, EPERM, JAIL_NAMESPACES },
	{ SYS_open_by_handle_at, EPERM, 0 },
	{ SYS_name_to_handle_at, EPERM, 0 },
	{ SYS_fanotify_init, EPERM, 0 },
	{ SYS_quotactl, EPERM, 0 },
	{ NR_QUOTACTL_FD, EPERM, 0 },
	/* Keys, and the kernel itself. */
	{ SYS_keyctl, EPERM, 0 },
	{ SYS_add_key, EPERM, 0 },
	{ SYS_request_key, EPERM, 0 },
	{ SYS_bpf, EPERM, 0 },
	{ SYS_perf_event_open, EPERM, 0 },
	{ SYS_userfaultfd, EPERM, 0 },
	{ SYS_syslog, EPERM, 0 },
	{ SYS_init_module, EPERM, 0 },
	{ SYS_finit_module, EPERM, 0 },
	{ SYS_delete_module, EPERM, 0 },
	{ SYS_kexec_load, EPERM, 0 },
	{ SYS_reboot, EPERM, 0 },
	{ SYS_swapon, EPERM, 0 },
	{ SYS_swapoff, EPERM, 0 },
	{ SYS_acct, EPERM, 0 },
	{ SYS_vhangup, EPERM, 0 },
	{ SYS_settimeofday, EPERM, 0 },
	{ SYS_clock_settime, EPERM, 0 },
	{ SYS_clock_adjtime, EPERM, 0 },
	{ SYS_adjtimex, EPERM, 0 },
	{ SYS_lookup_dcookie, EPERM, 0 },
#ifdef SYS_kexec_file_load
	{ SYS_kexec_file_load, EPERM, 0 },
#endif
#ifdef __x86_64__
	{ SYS_iopl, EPERM, 0 },
	{ SYS_ioperm, EPERM, 0 },
	{ SYS_modify_ldt, EPERM, 0 },
	{ SYS_uselib, EPERM, 0 },
#endif
	/* A ring makes calls that no filter sees, and clone3's flags cannot be seen:
	 * libuv and the C libraries do without when there is none. */
	{ NR_IO_URING_SETUP, ENOSYS, 0 },
	{ NR_IO_URING_ENTER, ENOSYS, 0 },
	{ NR_IO_URING_REGISTER, ENOSYS, 0 },
	{ NR_CLONE3, ENOSYS, 0 },
};

static void
add_step(struct seccomp_filter *f, unsigned code, unsigned k, unsigned yes, unsigned no)
{
	assert(f->n < SECCOMP_STEPS_MAX);
	f->steps[f->n++] = (struct sock_filter){ (unsigned short)code, (unsigned char)yes,
						 (unsigned char)no, k };
}

static void
add_end(struct seccomp_filter *f, int error)
{
	add_step(f, BPF_RET | BPF_K,
	     error ? SECCOMP_RET_ERRNO | ((unsigned)error & SECCOMP_RET_DATA) : SECCOMP_RET_ALLOW,
	     0, 0);
}

static void
load(struct seccomp_filter *f, size_t where)
{
	add_step(f, LOAD, (unsigned)where, 0, 0);
}

/* What was loaded is `value`: that is the end of it. */
static void
end_if(struct seccomp_filter *f, unsigned value, int error)
{
	add_step(f, BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1);
	add_end(f, error);
}

static void
end_unless(struct seccomp_filter *f, unsigned value, int error)
{
	add_step(f, BPF_JMP | BPF_JEQ | BPF_K, value, 1, 0);
	add_end(f, error);
}

static void
end_if_bits(struct seccomp_filter *f, unsigned bits, int error)
{
	add_step(f, BPF_JMP | BPF_JSET | BPF_K, bits, 0, 1);
	add_end(f, error);
}

/* The steps of one call, which end by themselves. Where they begin. */
static unsigned
begin_call(struct seccomp_filter *f, unsigned nr)
{
	add_step(f, BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 0);
	return f->n;
}

static void
end_steps_of(struct seccomp_filter *f, unsigned begin)
{
	add_end(f, 0);
	assert(f->n - begin < 256);
	f->steps[begin - 1].jf = (unsigned char)(f->n - begin);
}

static void
look_at_namespaces(struct seccomp_filter *f)
{
	static const unsigned calls[] = { SYS_clone, SYS_unshare };

	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
		unsigned begin = begin_call(f, calls[i]);

		load(f, ARG(0));
		end_if_bits(f, NAMESPACES | (calls[i] == SYS_unshare ? NEW_TIME : 0), EPERM);
		end_steps_of(f, begin);
	}
}

static void
look_at_sockets(struct seccomp_filter *f, unsigned permits)
{
	unsigned begin = begin_call(f, SYS_socket);

	load(f, ARG(0));
	end_if(f, AF_UNIX, permits & JAIL_UNIX ? 0 : EACCES);
	end_if(f, AF_INET, permits & JAIL_INET ? 0 : EACCES);
	end_if(f, AF_INET6, permits & JAIL_INET ? 0 : EACCES);
	end_unless(f, AF_NETLINK, EAFNOSUPPORT);
	/* getaddrinfo, getifaddrs. */
	load(f, ARG(2));
	end_unless(f, NETLINK_ROUTE, EPROTONOSUPPORT);
	end_steps_of(f, begin);
}

/* The priority and the processors of one's own only; and the limit that marks a
 * family (family.h). */
static void
look_at_limits(struct seccomp_filter *f)
{
	static const unsigned scheduling[] = { SYS_sched_setaffinity, SYS_sched_setscheduler,
					       SYS_sched_setparam, SYS_sched_setattr };
	unsigned begin;

	for (size_t i = 0; i < sizeof(scheduling) / sizeof(*scheduling); i++) {
		begin = begin_call(f, scheduling[i]);
		load(f, ARG(0));
		end_unless(f, 0, EPERM);
		end_steps_of(f, begin);
	}
	begin = begin_call(f, SYS_setpriority);
	load(f, ARG(0));
	end_if(f, PRIO_USER, EPERM);
	load(f, ARG(1));
	end_unless(f, 0, EPERM);
	end_steps_of(f, begin);
	begin = begin_call(f, SYS_ioprio_set);
	load(f, ARG(0));
	end_unless(f, IOPRIO_PROCESS, EPERM);
	load(f, ARG(1));
	end_unless(f, 0, EPERM);
	end_steps_of(f, begin);
	begin = begin_call(f, SYS_setrlimit);
	load(f, ARG(0));
	end_if(f, RLIMIT_LOCKS, EPERM);
	end_steps_of(f, begin);
	/* Without new limits it only asks: both words of the pointer are 0. */
	begin = begin_call(f, SYS_prlimit64);
	load(f, ARG(2));
	add_step(f, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 3);
	load(f, ARG_HIGH(2));
	add_step(f, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1);
	add_end(f, 0);
	load(f, ARG(0));
	end_unless(f, 0, EPERM);
	load(f, ARG(1));
	end_if(f, RLIMIT_LOCKS, EPERM);
	end_steps_of(f, begin);
}

/* Typing into a terminal that one only reads. */
static void
look_at_others(struct seccomp_filter *f)
{
	unsigned begin = begin_call(f, SYS_ioctl);

	load(f, ARG(1));
	end_if(f, TIOCSTI, EPERM);
	end_if(f, TIOCLINUX, EPERM);
	end_steps_of(f, begin);
	begin = begin_call(f, SYS_personality);
	load(f, ARG(0));
	end_if(f, 0, 0);
	end_if(f, NO_RANDOMIZE, 0);
	end_unless(f, ~0u, EPERM);
	end_steps_of(f, begin);
}

void
seccomp_make(struct seccomp_filter *f, unsigned permits)
{
	f->n = 0;
	/* Another processor's calls (i386, x32) have other numbers: none of them is
	 * there. */
	load(f, offsetof(struct seccomp_data, arch));
	end_unless(f, ARCHITECTURE, ENOSYS);
	load(f, offsetof(struct seccomp_data, nr));
#ifdef __x86_64__
	add_step(f, BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 1);
	add_end(f, ENOSYS);
#endif
	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++)
		if (!(refused[i].permit & permits))
			end_if(f, refused[i].nr, refused[i].error);
	if (!(permits & JAIL_NAMESPACES))
		look_at_namespaces(f);
	look_at_sockets(f, permits);
	look_at_limits(f);
	look_at_others(f);
	add_end(f, 0);
}

bool
seccomp_works(void)
{
	unsigned action = SECCOMP_RET_ERRNO;

	if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) < 0)
		return false;
	/* A kernel that takes filters finds no program at NULL. */
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, NULL) < 0 && errno == EFAULT;
}

#else /* no numbers */

void
seccomp_make(struct seccomp_filter *f, unsigned permits)
{
	(void)permits;
	f->n = 0;
}

bool
seccomp_works(void)
{
	errno = ENOTSUP;
	return false;
}

#endif

int
seccomp_enter(const struct seccomp_filter *f)
{
	struct sock_fprog program = { f->n, (struct sock_filter *)f->steps };

	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
}
