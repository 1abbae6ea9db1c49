#include "launch/Supervisor.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>
#include <iostream>
#include <sstream>
#include <thread>

#include "common/Error.h"
#include "tests/support/ExpectError.h"
#include "tests/support/TemporaryDirectory.h"

namespace lockstep {
namespace {

std::vector<std::string> shell(const std::string& script) { return {"/bin/sh", "-c", script}; }

pid_t read_pid(const std::filesystem::path& path) {
  for (int i = 0; i < 500; ++i) {
    pid_t pid = 0;
    if (std::ifstream(path) >> pid) return pid;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  ADD_FAILURE() << path << " was not written";
  return 0;
}

bool alive(pid_t pid) { return ::kill(pid, 0) == 0; }

void ignore(const std::string&) {}

int run(const std::vector<std::string>& command) {
  Supervisor supervisor;
  supervisor.start(command, ignore);
  return supervise(supervisor, {}).exit_code;
}

/// Runs `supervise` in a process of its own, as a launcher is, and returns that process.
pid_t start(const std::vector<std::string>& command, const Stopping& stopping = {}) {
  const pid_t launcher = ::fork();
  if (launcher == 0) {
    Supervisor supervisor;
    supervisor.start(command, ignore);
    const Ending ending = supervise(supervisor, stopping);
    ::_exit(ending.stopped_by ? 100 + *ending.stopped_by : ending.exit_code);
  }
  return launcher;
}

int wait_for(pid_t launcher) {
  int status = 0;
  ::waitpid(launcher, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(Supervise, ReturnsTheCommandsExitCode) {
  EXPECT_EQ(run(shell("exit 0")), 0);
  EXPECT_EQ(run(shell("exit 7")), 7);
  EXPECT_EQ(run(shell("kill -9 $$")), 128 + SIGKILL);
}

TEST(Supervise, SaysWhatCannotBeStarted) {
  const TemporaryDirectory directory;
  const std::string absent = (directory / "program").string();
  EXPECT_ERROR(run({absent}), LaunchError, absent, "No such file");
}

TEST(Supervise, ArgumentsArriveUntouched) {
  const TemporaryDirectory directory;
  const std::string hostile = "a b'c\"d$HOME`id`\n☃;exit 3";
  EXPECT_EQ(run({"/bin/sh", "-c", "printf %s \"$1\" > \"$2\"", "sh", hostile, (directory / "out").string()}), 0);
  std::ifstream file(directory / "out");
  EXPECT_EQ(std::string((std::istreambuf_iterator<char>(file)), {}), hostile);
}

TEST(Supervise, StandardInputIsEmpty) { EXPECT_EQ(run(shell("read line && exit 1; exit 0")), 0); }

TEST(Supervise, HandsOverErrorsLineByLine) {
  std::vector<std::string> lines;
  Supervisor supervisor;
  supervisor.start(shell("echo one >&2; printf 'tw' >&2; sleep 0.2; printf 'o\\n\\nend' >&2"),
                   [&](const std::string& line) { lines.push_back(line); });
  supervise(supervisor, {});
  EXPECT_EQ(lines, (std::vector<std::string>{"one", "two", "", "end"}));
}

TEST(Supervise, VariablesAreTheCommandsAlone) {
  Supervisor supervisor;
  supervisor.start(shell("test \"$LOCKSTEP_TEST\" = 'a b' && test -n \"$PATH\""), ignore, {{"LOCKSTEP_TEST", "a b"}});
  EXPECT_EQ(supervise(supervisor, {}).exit_code, 0);
  EXPECT_EQ(::getenv("LOCKSTEP_TEST"), nullptr);
}

TEST(Supervisor, WaitsForFilesAndSignalsAlsoWithoutACommand) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const FileDescriptor reader(ends[0]);
  const FileDescriptor writer(ends[1]);
  Supervisor supervisor;
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  EXPECT_TRUE(supervisor.wait({&ends[0], 1}, std::chrono::milliseconds(50)).empty());
  EXPECT_GE(Clock::now() - start, std::chrono::milliseconds(45));
  ASSERT_EQ(::write(ends[1], "x", 1), 1);
  EXPECT_TRUE(supervisor.wait({&ends[0], 1}, std::chrono::minutes(5)).empty());
  ::kill(::getpid(), SIGTERM);
  EXPECT_EQ(supervisor.wait({}, std::chrono::minutes(5)), std::vector<int>{SIGTERM});
}

TEST(Supervisor, APipeThatNobodyReadsEndsNothing) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ::close(ends[0]);
  {
    Supervisor supervisor;
    EXPECT_EQ(::write(ends[1], "x", 1), -1);
    ::kill(::getpid(), SIGPIPE);
  }
  ::close(ends[1]);
  struct sigaction action {};
  ::sigaction(SIGPIPE, nullptr, &action);
  EXPECT_EQ(action.sa_handler, SIG_DFL);  // as it was
}

TEST(Supervisor, HandsOverWhatTheCommandPrints) {
  Supervisor supervisor;
  std::ostringstream shown;
  std::streambuf* const before = std::cout.rdbuf(shown.rdbuf());
  supervisor.start(shell("printf 'a\\rb'; trap 'printf pipe; exit 3' PIPE; kill -PIPE $$"), ignore);
  EXPECT_EQ(supervise(supervisor, {}).exit_code, 3);  // SIGPIPE is ignored in this process alone
  std::cout.rdbuf(before);
  EXPECT_EQ(shown.str(), "a\rbpipe");
}

TEST(Supervisor, WaitsForItsCommandAlsoWhereChildrenWereIgnored) {
  ::signal(SIGCHLD, SIG_IGN);
  EXPECT_EQ(run(shell("exit 3")), 3);
}

TEST(Supervisor, WhatWasIgnoredStaysSo) {
  ::signal(SIGHUP, SIG_IGN);
  {
    Supervisor supervisor;
    ::kill(::getpid(), SIGHUP);
    EXPECT_TRUE(supervisor.wait({}, std::chrono::milliseconds(20)).empty());
  }
  ::signal(SIGHUP, SIG_DFL);
}

TEST(Supervisor, ASignalThatComesTooLateEndsNothing) {
  Supervisor supervisor;
  ::kill(::getpid(), SIGTERM);
}

TEST(Supervisor, RunsOneCommandAfterAnother) {
  Supervisor supervisor;
  for (const int code : {3, 5}) {
    supervisor.start(shell("exit " + std::to_string(code)), ignore);
    EXPECT_EQ(supervise(supervisor, {}).exit_code, code);
    EXPECT_FALSE(supervisor.running());
  }
}

TEST(Supervise, KillsWhatTheCommandLeavesBehind) {
  const TemporaryDirectory directory;
  const pid_t launcher = start(shell("setsid sleep 100 & echo $! > " + (directory / "pid").string() + "; exit 4"));
  EXPECT_EQ(wait_for(launcher), 4);
  EXPECT_FALSE(alive(read_pid(directory / "pid")));
}

// Its tracer, who does not look, is told first: until then nobody can reap it.
TEST(Supervisor, WaitsOnceAndNotForEverForWhatCannotBeReaped) {
  const TemporaryDirectory directory;
  const pid_t launcher = ::fork();
  if (launcher == 0) {
    using Clock = std::chrono::steady_clock;
    Clock::time_point start;
    {
      Supervisor supervisor(std::chrono::milliseconds(4000));
      supervisor.start(shell("echo $$ > " + (directory / "pid").string() + "; exec sleep 100"), ignore);
      read_pid(directory / "traced");
      start = Clock::now();
      supervisor.end();
      if (Clock::now() < start + std::chrono::milliseconds(4000)) ::_exit(1);
    }
    ::_exit(Clock::now() < start + std::chrono::milliseconds(7500) ? 0 : 2);
  }
  const pid_t command = read_pid(directory / "pid");
  ASSERT_EQ(::ptrace(PTRACE_SEIZE, command, nullptr, nullptr), 0) << std::strerror(errno);
  std::ofstream(directory / "traced") << command << "\n";
  EXPECT_EQ(wait_for(launcher), 0);
  ::waitpid(command, nullptr, 0);
}

TEST(Supervise, TheCommandEndsWhenTheSupervisorIsKilled) {
  const TemporaryDirectory directory;
  const pid_t launcher = start(shell("echo $$ > " + (directory / "pid").string() + "; exec sleep 100"));
  const pid_t command = read_pid(directory / "pid");
  ::kill(launcher, SIGKILL);
  wait_for(launcher);
  // An earlier test has made this process adopt orphans.
  for (int i = 0; i < 500 && alive(command); ++i) {
    ::waitpid(command, nullptr, WNOHANG);
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_FALSE(alive(command));
}

TEST(Supervise, ASignalEndsTheWholeTree) {
  for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGALRM, SIGUSR1, SIGUSR2, SIGXCPU, SIGRTMIN + 1}) {
    const TemporaryDirectory directory;
    const pid_t launcher = start(shell("sleep 100 & echo $! > " + (directory / "pid").string() + "; wait"));
    const pid_t grandchild = read_pid(directory / "pid");
    ::kill(launcher, number);
    EXPECT_EQ(wait_for(launcher), 100 + number);
    EXPECT_FALSE(alive(grandchild));
  }
}

TEST(Supervise, ACommandThatIgnoresTheSignalIsKilledAfterTheGrace) {
  const TemporaryDirectory directory;
  const pid_t launcher =
      start(shell("trap '' TERM; sleep 100 & echo $! > " + (directory / "pid").string() + "; while :; do wait; done"),
            {.grace_seconds = 0.3});
  const pid_t grandchild = read_pid(directory / "pid");
  ::kill(launcher, SIGTERM);
  EXPECT_EQ(wait_for(launcher), 100 + SIGTERM);
  EXPECT_FALSE(alive(grandchild));
}

/// A command that listens to SIGUSR1 after a while, and says so in a file.
std::vector<std::string> listener(const TemporaryDirectory& directory, const std::string& when_told) {
  return {"perl", "-e",
          "system('sleep 100 & echo $! > " + (directory / "pid").string() +
              "'); select(undef, undef, undef, 0.5); $SIG{USR1} = sub { " + when_told + " }; system('touch " +
              (directory / "listens").string() + "'); sleep 1 while 1"};
}

Stopping gently(const TemporaryDirectory& directory, double grace_seconds) {
  return {.gentle_signal = SIGUSR1,
          .listens = [file = directory / "listens"] { return std::filesystem::exists(file); },
          .grace_seconds = grace_seconds};
}

TEST(Supervise, ACommandThatDoesNotComeToListenIsKilledInTime) {
  const TemporaryDirectory directory;
  const Stopping never{.gentle_signal = SIGUSR1,
                       .listens = [] { return false; },
                       .grace_seconds = 90,
                       .seconds_to_listen = 1e9,
                       .seconds_to_listen_yet = 0.3};
  const pid_t launcher = start(shell("echo $$ > " + (directory / "pid").string() + "; exec sleep 100"), never);
  const pid_t command = read_pid(directory / "pid");
  ::kill(launcher, SIGTERM);
  EXPECT_EQ(wait_for(launcher), 100 + SIGTERM);
  EXPECT_FALSE(alive(command));
  Supervisor supervisor;
  supervisor.start(shell("exec sleep 100"), ignore);
  const Ending ending =
      supervise(supervisor, {.gentle_signal = SIGUSR1, .listens = [] { return false; }, .seconds_to_listen = 0.3});
  EXPECT_TRUE(ending.never_listened);
  EXPECT_FALSE(ending.stopped_by);
}

TEST(Supervise, AGentleSignalReachesTheCommandAloneAndNotBeforeItListens) {
  const TemporaryDirectory directory;
  const std::string told = (directory / "told").string();
  const pid_t launcher = start(listener(directory, "system('kill -0 $(cat " + (directory / "pid").string() +
                                                       ") && echo >> " + told + "'); sleep 1; exit 0"),
                               gently(directory, 20));
  read_pid(directory / "pid");
  ::kill(launcher, SIGTERM);
  EXPECT_EQ(wait_for(launcher), 100 + SIGTERM);
  EXPECT_EQ(std::filesystem::file_size(told), 1);  // once
}

TEST(Supervise, AfterTheGraceOrASecondSignalACommandThatWasToldGentlyIsKilled) {
  for (const bool again : {false, true}) {
    const TemporaryDirectory directory;
    const pid_t launcher = start(listener(directory, ""), gently(directory, again ? 90 : 0.3));
    const pid_t grandchild = read_pid(directory / "pid");
    ::kill(launcher, SIGTERM);
    std::this_thread::sleep_for(std::chrono::milliseconds(700));
    if (again) ::kill(launcher, SIGTERM);
    EXPECT_EQ(wait_for(launcher), 100 + SIGTERM);
    EXPECT_FALSE(alive(grandchild));
  }
}

// A scheduler sends SIGTERM to all processes of a job at once, and what it has started hands it on.
TEST(Supervise, TwoSignalsAtOnceAreOneRequestAndDoNotReachAShieldedCommand) {
  const TemporaryDirectory directory;
  const pid_t launcher = ::fork();
  if (launcher == 0) {
    Supervisor supervisor;
    supervisor.start(listener(directory, "sleep 1; exit 7"), ignore, {}, true);
    const Ending ending = supervise(supervisor, gently(directory, 20));
    ::_exit(ending.stopped_by ? 100 + ending.exit_code : ending.exit_code);
  }
  read_pid(directory / "pid");
  ::kill(launcher, SIGTERM);
  std::ifstream children("/proc/" + std::to_string(launcher) + "/task/" + std::to_string(launcher) + "/children");
  pid_t command = 0;
  ASSERT_TRUE(children >> command);
  ::kill(-command, SIGTERM);
  ::kill(launcher, SIGTERM);
  EXPECT_EQ(wait_for(launcher), 107);
}

}  // namespace
}  // namespace lockstep
