#include "watch/NativeStacks.h"

#include <execinfo.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <iterator>
#include <map>
#include <thread>
#include <utility>
#include <vector>

#include "common/Text.h"
#include "watch/ProcessState.h"
#include "watch/Symbols.h"

namespace lockstep {

namespace {

constexpr int kAsk = SIGURG;
constexpr std::size_t kOfTheHandler = 2;  // its own frame, and that by which it returns

std::atomic<RankPage*> own_page = nullptr;
std::atomic<int> answering = 0;  // threads that may have seen the page

pid_t own_thread() { return static_cast<pid_t>(::syscall(SYS_gettid)); }

// Only what may be called in a handler: backtrace has been called before, so that it need not load its library.
void on_ask(int) {
  const int error = errno;
  ++answering;
  RankPage* const page = own_page;
  if (page != nullptr && page->stacks_wanted > 0) {
    const std::uint32_t place = page->stacks.fetch_add(1);
    if (place < RankPage::kThreads) {
      ThreadStack& stack = page->threads[place];
      const int frames = ::backtrace(stack.addresses.data(), static_cast<int>(ThreadStack::kFrames));
      stack.frames = static_cast<std::uint32_t>(frames);
      stack.thread.store(own_thread(), std::memory_order_release);
    }
    while (page->threads_stay) ::pause();
  }
  --answering;
  errno = error;
}

std::string line_of(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// What is known of a thread that does not answer. Most of it is root's alone to read.
std::string told_by_system(pid_t pid, pid_t thread) {
  const std::string directory = "/proc/" + std::to_string(pid) + "/task/" + std::to_string(thread);
  std::string text = "    " + std::string(name_of(process_state(directory)));
  for (const char* name : {"wchan", "syscall"}) {
    if (const std::string line = line_of(directory + "/" + name); !line.empty()) {
      text += ", " + std::string(name) + " " + line;
    }
  }
  text += "\n";
  std::ifstream file(directory + "/stack");
  for (std::string line; std::getline(file, line);) text += "    " + line + "\n";
  return text;
}

std::string frames_of(const ThreadStack& stack, Symbols& symbols) {
  std::string text;
  const std::size_t count = std::min<std::size_t>(stack.frames, ThreadStack::kFrames);
  for (std::size_t i = kOfTheHandler; i < count; ++i) {
    text += "    " + symbols.name_of(stack.addresses[i], /*returns_there=*/i > kOfTheHandler) + "\n";
  }
  return text;
}

void ask(RankPage& page, pid_t pid, const std::vector<pid_t>& threads, std::chrono::milliseconds limit) {
  const bool stopped = process_state(pid) == ProcessState::kStopped;
  page.stacks = 0;
  for (ThreadStack& each : page.threads) each.thread = 0;
  page.threads_stay = stopped;
  ++page.stacks_wanted;
  for (const pid_t thread : threads) ::syscall(SYS_tgkill, pid, thread, kAsk);
  if (stopped) ::kill(pid, SIGCONT);
  const auto wanted = std::min(threads.size(), page.threads.size());
  const auto answered = [&] {
    return std::ranges::count_if(page.threads, [](const ThreadStack& each) { return each.thread != 0; });
  };
  for (const auto end = std::chrono::steady_clock::now() + limit;
       std::cmp_less(answered(), wanted) && std::chrono::steady_clock::now() < end;) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  page.stacks_wanted = 0;
}

}  // namespace

StackAnswers::StackAnswers(RankPage& page) {
  void* frame = nullptr;
  ::backtrace(&frame, 1);
  own_page = &page;
  struct sigaction action {};
  action.sa_handler = &on_ask;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  ::sigaction(kAsk, &action, nullptr);
  sigset_t listened;
  sigemptyset(&listened);
  sigaddset(&listened, kAsk);
  ::pthread_sigmask(SIG_UNBLOCK, &listened, nullptr);
}

StackAnswers::~StackAnswers() {
  own_page = nullptr;
  while (answering > 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

std::string stacks_of(RankPage& page, std::chrono::milliseconds limit) {
  const pid_t pid = page.pid;
  if (pid <= 0 || process_state(pid) == ProcessState::kGone) return "  the process is gone\n";
  std::vector<pid_t> threads = threads_of(pid);
  std::erase(threads, own_thread());
  ask(page, pid, threads, limit);
  Symbols symbols(pid);
  std::map<std::string, std::vector<pid_t>> by_stack;
  for (const pid_t thread : threads) {
    const auto answer =
        std::ranges::find_if(page.threads, [&](const ThreadStack& each) { return each.thread == thread; });
    by_stack[answer == page.threads.end() ? told_by_system(pid, thread) : frames_of(*answer, symbols)].push_back(
        thread);
  }
  std::vector<std::pair<pid_t, std::string>> shown;  // by the first of its threads: the process's own comes first
  for (const auto& [stack, ids] : by_stack) {
    std::string names = std::to_string(ids.front());
    for (std::size_t i = 1; i < ids.size(); ++i) names += ", " + std::to_string(ids[i]);
    const std::string title =
        line_of("/proc/" + std::to_string(pid) + "/task/" + std::to_string(ids.front()) + "/comm");
    shown.emplace_back(ids.front(), "  " + std::string(ids.size() > 1 ? "threads " : "thread ") + names + " (" + title +
                                        ")\n" + stack);
  }
  std::ranges::sort(shown);
  std::string text;
  for (const auto& [first, stack] : shown) text += stack;
  return text;
}

}  // namespace lockstep
