// A flow of calls on a stack of its own that can be left and come back to, as a fiber is.
#pragma once

#include <cstddef>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace lockstep::emulator {

/// Made by default, it is the caller's own flow, once it has been left by change(). All of a process's contexts belong
/// to one thread.
class Context {
 public:
  Context() = default;
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  /// The next change() to it calls `entry`, which must not return, at the top of `stack`. What ran there before is
  /// forgotten, without destructors.
  void start(void* stack, std::size_t bytes, void (*entry)());

  /// Goes on in `to`; returns when something goes on in `from`. May be called in a signal handler, for good: the signal
  /// must not be blocked there (SA_NODEFER). `leaving` says that nothing comes back to `from`.
  static void change(Context& from, Context& to, bool leaving = false);

  /// The first thing that `entry` does.
  static void entered();

 private:
  void* stack_ = nullptr;  // its lowest byte
  std::size_t bytes_ = 0;
  void* fake_stack_ = nullptr;  // AddressSanitizer's
#if defined(__x86_64__)
  void* pointer_ = nullptr;  // the stack pointer while it waits
#else
  ucontext_t context_{};
#endif
};

}  // namespace lockstep::emulator
