// How fibers switch, in the machine's own words (fiber.h).

#include "cuda_host/fiber.h"

extern "C" void fastsciml_fiber_main(void* fiber) { static_cast<fastsciml::core::host::Fiber*>(fiber)->main(); }

#if defined(__x86_64__)
asm(R"(
.text
.globl fastsciml_fiber_switch
.type fastsciml_fiber_switch, @function
fastsciml_fiber_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.globl fastsciml_fiber_entry
.type fastsciml_fiber_entry, @function
fastsciml_fiber_entry:
  movq %r12, %rdi
  call fastsciml_fiber_main
  ud2
)");
#elif defined(__aarch64__)
asm(R"(
.text
.globl fastsciml_fiber_switch
.type fastsciml_fiber_switch, %function
fastsciml_fiber_switch:
  sub sp, sp, #160
  stp x19, x20, [sp, #0]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x9, sp
  str x9, [x0]
  mov sp, x1
  ldp x19, x20, [sp, #0]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #160
  ret
.globl fastsciml_fiber_entry
.type fastsciml_fiber_entry, %function
fastsciml_fiber_entry:
  mov x0, x19
  bl fastsciml_fiber_main
  brk #1
)");
#else
#error "the host runtime switches fibers on x86-64 and AArch64 only"
#endif
