/* A QEMU TCG plugin that counts the guest's instructions, with marks set by the guest itself.
 *
 *     gcc -shared -fPIC -O2 -DPLUGIN_API=1 -o icount.so icount.c
 *     qemu-aarch64 -plugin file=icount.so,out=counts.txt ...
 *
 * A guest that calls lseek(fd, MARK + n, SEEK_SET) writes "n count" to the file: count is the
 * number of instructions executed so far by all its threads, that of the call included. So a
 * program can say where a part begins and ends, and start-up does not blur what is counted.
 * /dev/null takes such an lseek and does nothing. See count_hops.py for the other end.
 *
 * Distributions ship no plugin header with qemu-user, so the few declarations stand here, as in
 * QEMU's include/qemu/qemu-plugin.h. A callback, not an inline counter, because it kept its form
 * when version 2 of the interface (QEMU 9) changed the other.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef PLUGIN_API
#define PLUGIN_API 1
#endif
#define MARK UINT64_C(0x6B777300)
#define AARCH64_LSEEK 62

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_info;
enum { NO_REGS = 0 };

void qemu_plugin_register_vcpu_tb_trans_cb(
    qemu_plugin_id_t id, void (*callback)(qemu_plugin_id_t id, struct qemu_plugin_tb *block));
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
void qemu_plugin_register_vcpu_tb_exec_cb(
    struct qemu_plugin_tb *block, void (*callback)(unsigned int vcpu, void *data),
    int flags, void *data);
void qemu_plugin_register_vcpu_syscall_cb(
    qemu_plugin_id_t id,
    void (*callback)(qemu_plugin_id_t id, unsigned int vcpu, int64_t number, uint64_t a1,
                     uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5, uint64_t a6,
                     uint64_t a7, uint64_t a8));
void qemu_plugin_register_atexit_cb(
    qemu_plugin_id_t id, void (*callback)(qemu_plugin_id_t id, void *data), void *data);

#define EXPORT __attribute__((visibility("default")))
EXPORT int qemu_plugin_version = PLUGIN_API;

static uint64_t executed;
static FILE *out;

static void on_executed(unsigned int vcpu, void *n_instructions)
{
    (void)vcpu;
    __atomic_fetch_add(&executed, (uint64_t)(uintptr_t)n_instructions, __ATOMIC_RELAXED);
}

static void on_translated(qemu_plugin_id_t id, struct qemu_plugin_tb *block)
{
    (void)id;
    qemu_plugin_register_vcpu_tb_exec_cb(block, on_executed, NO_REGS,
                                         (void *)(uintptr_t)qemu_plugin_tb_n_insns(block));
}

static void on_syscall(qemu_plugin_id_t id, unsigned int vcpu, int64_t number, uint64_t a1,
                       uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5, uint64_t a6,
                       uint64_t a7, uint64_t a8)
{
    (void)id, (void)vcpu, (void)a1, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
    if (number == AARCH64_LSEEK && a2 - MARK < 256)
        fprintf(out, "%" PRIu64 " %" PRIu64 "\n", a2 - MARK, executed);
}

static void on_exit_of_guest(qemu_plugin_id_t id, void *data)
{
    (void)id, (void)data;
    fprintf(out, "total %" PRIu64 "\n", executed);
    fclose(out);
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info *info, int argc,
                               char **argv)
{
    (void)info;
    for (int i = 0; i < argc; i++)
        if (strncmp(argv[i], "out=", 4) == 0)
            out = fopen(argv[i] + 4, "w");
    if (!out) {
        fprintf(stderr, "icount: expected out=FILE with a file that can be written\n");
        return 1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translated);
    qemu_plugin_register_vcpu_syscall_cb(id, on_syscall);
    qemu_plugin_register_atexit_cb(id, on_exit_of_guest, NULL);
    return 0;
}
