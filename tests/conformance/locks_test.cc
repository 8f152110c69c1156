// Locks: fcntl(2) F_SETLK and its kin, F_OFD_SETLK, flock(2), lockf(3).

#include <signal.h>
#include <sys/file.h>
#include <sys/time.h>

#include <memory>

#include "tests/conformance/conformance.h"

namespace memfuse::conformance {
namespace {

CONFORMANCE_SUITE(Locks);

struct flock Range(int type, off_t start, off_t length) {
  struct flock lock = {};
  lock.l_type = static_cast<short>(type);
  lock.l_whence = SEEK_SET;
  lock.l_start = start;
  lock.l_len = length;
  return lock;
}

int Lock(int fd, int command, int type, off_t start = 0, off_t length = 0) {
  struct flock lock = Range(type, start, length);
  return ErrnoOf(fcntl(fd, command, &lock));
}

// The same in another process, which opens "f" itself.
int OtherProcessLocks(int type, off_t start = 0, off_t length = 0) {
  return InChild([&] {
    const int fd = open("f", O_RDWR);
    return fd < 0 ? 1000 + errno : Lock(fd, F_SETLK, type, start, length);
  });
}

TEST_P(Locks, ConflictsBetweenProcesses) {
  MakeFile("f", "content");
  const UniqueFd mine = Open("f", O_RDWR);
  ASSERT_EQ(Lock(mine.get(), F_SETLK, F_RDLCK), 0);
  EXPECT_EQ(OtherProcessLocks(F_RDLCK), 0);
  EXPECT_EQ(OtherProcessLocks(F_WRLCK), EAGAIN);
  ASSERT_EQ(Lock(mine.get(), F_SETLK, F_WRLCK), 0);  // an upgrade
  EXPECT_EQ(OtherProcessLocks(F_RDLCK), EAGAIN);
  EXPECT_EQ(OtherProcessLocks(F_WRLCK), EAGAIN);
  EXPECT_EQ(OtherProcessLocks(F_UNLCK), 0);
  ASSERT_EQ(Lock(mine.get(), F_SETLK, F_RDLCK), 0);  // a downgrade
  EXPECT_EQ(OtherProcessLocks(F_RDLCK), 0);
  ASSERT_EQ(Lock(mine.get(), F_SETLK, F_UNLCK), 0);
  EXPECT_EQ(OtherProcessLocks(F_WRLCK), 0);
}

TEST_P(Locks, AreOfRanges) {
  MakeFile("f", "content");
  const UniqueFd mine = Open("f", O_RDWR);
  ASSERT_EQ(Lock(mine.get(), F_SETLK, F_WRLCK, 10, 10), 0);
  EXPECT_EQ(OtherProcessLocks(F_WRLCK, 0, 10), 0);
  EXPECT_EQ(OtherProcessLocks(F_WRLCK, 20, 0), 0);
  EXPECT_EQ(OtherProcessLocks(F_WRLCK, 0, 11), EAGAIN);
  EXPECT_EQ(OtherProcessLocks(F_WRLCK, 19, 1), EAGAIN);
  EXPECT_EQ(OtherProcessLocks(F_WRLCK, 0, 0), EAGAIN);
  EXPECT_EQ(OtherProcessLocks(F_WRLCK, 20, -5), EAGAIN);
  // Unlocking the middle splits it.
  ASSERT_EQ(Lock(mine.get(), F_SETLK, F_UNLCK, 13, 4), 0);
  EXPECT_EQ(OtherProcessLocks(F_WRLCK, 13, 4), 0);
  EXPECT_EQ(OtherProcessLocks(F_WRLCK, 12, 1), EAGAIN);
  EXPECT_EQ(OtherProcessLocks(F_WRLCK, 17, 1), EAGAIN);
}

TEST_P(Locks, WithinAProcessDoNotConflict) {
  MakeFile("f", "content");
  const UniqueFd a = Open("f", O_RDWR), b = Open("f", O_RDWR);
  EXPECT_EQ(Lock(a.get(), F_SETLK, F_WRLCK), 0);
  EXPECT_EQ(Lock(b.get(), F_SETLK, F_WRLCK), 0);
}

// fcntl(2): a close of any descriptor of the file releases all locks of the process.
TEST_P(Locks, AreReleasedByAnyClose) {
  MakeFile("f", "content");
  const UniqueFd mine = Open("f", O_RDWR);
  ASSERT_EQ(Lock(mine.get(), F_SETLK, F_WRLCK), 0);
  EXPECT_EQ(OtherProcessLocks(F_WRLCK), EAGAIN);
  Open("f", O_RDONLY);
  EXPECT_EQ(OtherProcessLocks(F_WRLCK), 0);
}

TEST_P(Locks, AreReleasedByExit) {
  MakeFile("f", "content");
  EXPECT_EQ(OtherProcessLocks(F_WRLCK), 0);
  EXPECT_EQ(OtherProcessLocks(F_WRLCK), 0);
}

TEST_P(Locks, AreNotInherited) {
  MakeFile("f", "content");
  const UniqueFd mine = Open("f", O_RDWR);
  ASSERT_EQ(Lock(mine.get(), F_SETLK, F_WRLCK), 0);
  EXPECT_EQ(InChild([&] { return Lock(mine.get(), F_SETLK, F_RDLCK); }), EAGAIN);
  // The exit of the child does not release them either.
  EXPECT_EQ(OtherProcessLocks(F_RDLCK), EAGAIN);
}

TEST_P(Locks, GetlkReportsTheConflictingLock) {
  MakeFile("f", "content");
  const UniqueFd mine = Open("f", O_RDWR);
  ASSERT_EQ(Lock(mine.get(), F_SETLK, F_RDLCK, 5, 10), 0);
  const pid_t me = getpid();
  EXPECT_EQ(InChild([&] {
              const int fd = open("f", O_RDWR);
              struct flock lock = Range(F_WRLCK, 0, 0);
              if (fcntl(fd, F_GETLK, &lock) != 0) return errno;
              if (lock.l_type != F_RDLCK || lock.l_start != 5 || lock.l_len != 10) return 1001;
              if (lock.l_pid != me || lock.l_whence != SEEK_SET) return 1002;
              lock = Range(F_RDLCK, 0, 0);
              if (fcntl(fd, F_GETLK, &lock) != 0) return errno;
              if (lock.l_type != F_UNLCK || lock.l_start != 0) return 1003;
              lock = Range(F_WRLCK, 15, 0);
              if (fcntl(fd, F_GETLK, &lock) != 0) return errno;
              return lock.l_type == F_UNLCK ? 0 : 1004;
            }),
            0);
}

TEST_P(Locks, ABlockedLockIsGrantedWhenItCan) {
  MakeFile("f", "content");
  const UniqueFd mine = Open("f", O_RDWR);
  ASSERT_EQ(Lock(mine.get(), F_SETLK, F_WRLCK, 0, 5), 0);
  Process other([] {
    const int fd = open("f", O_RDWR);
    return Lock(fd, F_SETLKW, F_WRLCK, 3, 5);
  });
  EXPECT_TRUE(other.BlocksIn({SYS_fcntl}));
  ASSERT_EQ(Lock(mine.get(), F_SETLK, F_UNLCK, 3, 2), 0);
  EXPECT_EQ(other.Wait(), 0);
}

TEST_P(Locks, ASignalInterruptsTheWait) {
  MakeFile("f", "content");
  const UniqueFd mine = Open("f", O_RDWR);
  ASSERT_EQ(Lock(mine.get(), F_SETLK, F_WRLCK), 0);
  EXPECT_EQ(InChild([] {
              struct sigaction action = {};
              action.sa_handler = [](int) {};
              sigaction(SIGALRM, &action, nullptr);
              const int fd = open("f", O_RDWR);
              // Repeatedly, because the first signal may arrive before the wait.
              const itimerval soon = {{0, 20000}, {0, 20000}};
              setitimer(ITIMER_REAL, &soon, nullptr);
              return Lock(fd, F_SETLKW, F_WRLCK);
            }),
            EINTR);
}

TEST_P(Locks, ADeadlockIsRefused) {
  MakeFile("f", "content");
  const UniqueFd mine = Open("f", O_RDWR);
  ASSERT_EQ(Lock(mine.get(), F_SETLK, F_WRLCK, 0, 1), 0);
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd read_end(ends[0]), write_end(ends[1]);
  Process other([&] {
    const int fd = open("f", O_RDWR);
    const int first = Lock(fd, F_SETLK, F_WRLCK, 1, 1);
    (void)!write(write_end.get(), "x", 1);
    return first != 0 ? first : Lock(fd, F_SETLKW, F_WRLCK, 0, 1);
  });
  char c;
  ASSERT_EQ(read(read_end.get(), &c, 1), 1);
  ASSERT_TRUE(other.BlocksIn({SYS_fcntl}));
  EXPECT_EQ(Lock(mine.get(), F_SETLKW, F_WRLCK, 1, 1), EDEADLK);
  ASSERT_EQ(Lock(mine.get(), F_SETLK, F_UNLCK), 0);
  EXPECT_EQ(other.Wait(), 0);
}

TEST_P(Locks, NeedTheAccessModeOfTheDescriptor) {
  MakeFile("f", "content");
  const UniqueFd reader = Open("f", O_RDONLY), writer = Open("f", O_WRONLY);
  const UniqueFd path_only = Open("f", O_PATH);
  for (const int command : {F_SETLK, F_OFD_SETLK}) {
    EXPECT_EQ(Lock(reader.get(), command, F_WRLCK), EBADF);
    EXPECT_EQ(Lock(writer.get(), command, F_RDLCK), EBADF);
    EXPECT_EQ(Lock(reader.get(), command, F_RDLCK), 0);
    EXPECT_EQ(Lock(path_only.get(), command, F_RDLCK), EBADF);
    EXPECT_EQ(Lock(reader.get(), command, F_UNLCK), 0);
  }
  // flock(2) ignores the access mode.
  EXPECT_EQ(flock(reader.get(), LOCK_EX), 0);
  EXPECT_EQ(ErrnoOf(flock(path_only.get(), LOCK_EX)), EBADF);
}

TEST_P(Locks, ArgumentsAreChecked) {
  MakeFile("f", "content");
  const UniqueFd mine = Open("f", O_RDWR);
  EXPECT_EQ(Lock(mine.get(), F_SETLK, 77), EINVAL);
  EXPECT_EQ(Lock(mine.get(), F_SETLK, F_WRLCK, -1, 1), EINVAL);
  EXPECT_EQ(Lock(mine.get(), F_SETLK, F_WRLCK, 5, -6), EINVAL);
  struct flock lock = Range(F_WRLCK, 0, 0);
  lock.l_whence = 9;
  EXPECT_EQ(ErrnoOf(fcntl(mine.get(), F_SETLK, &lock)), EINVAL);
  EXPECT_EQ(ErrnoOf(fcntl(mine.get(), F_SETLK, BadAddress())), EFAULT);
  EXPECT_EQ(ErrnoOf(flock(mine.get(), 0)), EINVAL);
  EXPECT_EQ(ErrnoOf(flock(-1, LOCK_EX)), EBADF);
  lock = Range(F_WRLCK, 0, 0);
  lock.l_pid = 1;
  EXPECT_EQ(ErrnoOf(fcntl(mine.get(), F_OFD_SETLK, &lock)), EINVAL);
}

TEST_P(Locks, CountFromTheOffsetAndTheEnd) {
  MakeFile("f", "0123456789");
  const UniqueFd mine = Open("f", O_RDWR);
  ASSERT_EQ(lseek(mine.get(), 4, SEEK_SET), 4);
  struct flock lock = Range(F_WRLCK, 1, 1);
  lock.l_whence = SEEK_CUR;
  ASSERT_EQ(fcntl(mine.get(), F_SETLK, &lock), 0);
  lock = Range(F_WRLCK, -1, 1);
  lock.l_whence = SEEK_END;
  ASSERT_EQ(fcntl(mine.get(), F_SETLK, &lock), 0);
  EXPECT_EQ(OtherProcessLocks(F_WRLCK, 5, 1), EAGAIN);
  EXPECT_EQ(OtherProcessLocks(F_WRLCK, 9, 1), EAGAIN);
  EXPECT_EQ(OtherProcessLocks(F_WRLCK, 6, 3), 0);
}

TEST_P(Locks, OfDescriptionsConflictWithinAProcess) {
  MakeFile("f", "content");
  const UniqueFd a = Open("f", O_RDWR);
  UniqueFd b = Open("f", O_RDWR);
  EXPECT_EQ(Lock(a.get(), F_OFD_SETLK, F_RDLCK), 0);
  EXPECT_EQ(Lock(b.get(), F_OFD_SETLK, F_RDLCK), 0);
  EXPECT_EQ(Lock(a.get(), F_OFD_SETLK, F_WRLCK), EAGAIN);
  struct flock lock = Range(F_WRLCK, 0, 0);
  ASSERT_EQ(fcntl(a.get(), F_OFD_GETLK, &lock), 0);
  EXPECT_EQ(lock.l_type, F_RDLCK);
  EXPECT_EQ(lock.l_pid, -1);
  // The close of the last descriptor of the description releases them, not any close.
  UniqueFd copy(dup(b.get()));
  b.reset();
  EXPECT_EQ(Lock(a.get(), F_OFD_SETLK, F_WRLCK), EAGAIN);
  copy.reset();
  EXPECT_EQ(Lock(a.get(), F_OFD_SETLK, F_WRLCK), 0);
  EXPECT_EQ(OtherProcessLocks(F_RDLCK), EAGAIN);
}

TEST_P(Locks, OfDescriptionsAreInherited) {
  MakeFile("f", "content");
  const UniqueFd a = Open("f", O_RDWR), b = Open("f", O_RDWR);
  ASSERT_EQ(Lock(a.get(), F_OFD_SETLK, F_WRLCK), 0);
  EXPECT_EQ(InChild([&] { return Lock(a.get(), F_OFD_SETLK, F_WRLCK, 5, 5); }), 0);
  EXPECT_EQ(InChild([&] { return Lock(b.get(), F_OFD_SETLK, F_WRLCK, 5, 5); }), EAGAIN);
}

TEST_P(Locks, FlockIsOfTheWholeFileAndOfDescriptions) {
  MakeFile("f", "content");
  const UniqueFd a = Open("f", O_RDONLY);
  UniqueFd b = Open("f", O_RDWR);
  EXPECT_EQ(flock(a.get(), LOCK_SH), 0);
  EXPECT_EQ(flock(b.get(), LOCK_SH), 0);
  EXPECT_EQ(ErrnoOf(flock(a.get(), LOCK_EX | LOCK_NB)), EWOULDBLOCK);
  EXPECT_EQ(flock(b.get(), LOCK_UN), 0);
  EXPECT_EQ(flock(a.get(), LOCK_EX | LOCK_NB), 0);
  EXPECT_EQ(ErrnoOf(flock(b.get(), LOCK_SH | LOCK_NB)), EWOULDBLOCK);
  // A duplicate has the same lock.
  const UniqueFd copy(dup(a.get()));
  EXPECT_EQ(flock(copy.get(), LOCK_EX | LOCK_NB), 0);
  EXPECT_EQ(flock(copy.get(), LOCK_UN), 0);
  EXPECT_EQ(flock(b.get(), LOCK_EX | LOCK_NB), 0);
  b.reset();
  EXPECT_EQ(flock(a.get(), LOCK_EX | LOCK_NB), 0);
}

TEST_P(Locks, FlockBlocksUntilItIsGranted) {
  MakeFile("f", "content");
  const UniqueFd mine = Open("f", O_RDWR);
  ASSERT_EQ(flock(mine.get(), LOCK_EX), 0);
  Process other([] {
    const int fd = open("f", O_RDWR);
    return ErrnoOf(flock(fd, LOCK_EX));
  });
  EXPECT_TRUE(other.BlocksIn({SYS_flock}));
  ASSERT_EQ(flock(mine.get(), LOCK_UN), 0);
  EXPECT_EQ(other.Wait(), 0);
}

TEST_P(Locks, FlockAndFcntlLocksAreIndependent) {
  MakeFile("f", "content");
  const UniqueFd mine = Open("f", O_RDWR);
  ASSERT_EQ(flock(mine.get(), LOCK_EX), 0);
  EXPECT_EQ(OtherProcessLocks(F_WRLCK), 0);
}

TEST_P(Locks, FlockIsForDirectoriesToo) {
  const UniqueFd a = Open(".", O_RDONLY), b = Open(".", O_RDONLY);
  EXPECT_EQ(flock(a.get(), LOCK_EX | LOCK_NB), 0);
  EXPECT_EQ(ErrnoOf(flock(b.get(), LOCK_SH | LOCK_NB)), EWOULDBLOCK);
  EXPECT_EQ(Lock(a.get(), F_SETLK, F_RDLCK), 0);
}

TEST_P(Locks, LockfLocksFromTheOffset) {
  MakeFile("f", "0123456789");
  const UniqueFd mine = Open("f", O_RDWR);
  ASSERT_EQ(lseek(mine.get(), 5, SEEK_SET), 5);
  EXPECT_EQ(lockf(mine.get(), F_LOCK, 2), 0);
  EXPECT_EQ(OtherProcessLocks(F_WRLCK, 0, 5), 0);
  EXPECT_EQ(OtherProcessLocks(F_WRLCK, 6, 1), EAGAIN);
  EXPECT_EQ(lockf(mine.get(), F_TEST, 2), 0);
  EXPECT_EQ(lockf(mine.get(), F_ULOCK, 0), 0);
  EXPECT_EQ(OtherProcessLocks(F_WRLCK), 0);
}

TEST_P(Locks, AnUnlinkedFileHasThem) {
  MakeFile("f", "content");
  const UniqueFd mine = Open("f", O_RDWR), other = Open("f", O_RDWR);
  ASSERT_EQ(unlink("f"), 0);
  ASSERT_EQ(Lock(mine.get(), F_OFD_SETLK, F_WRLCK), 0);
  EXPECT_EQ(Lock(other.get(), F_OFD_SETLK, F_WRLCK), EAGAIN);
}

// A counter that is read, changed and written under a lock.
void Count(const std::function<int(int, bool)>& lock) {
  constexpr int kProcesses = 4, kRounds = 100;
  MakeFile("f", std::string(8, '\0'));
  std::vector<std::unique_ptr<Process>> processes;
  for (int i = 0; i < kProcesses; ++i) {
    processes.push_back(std::make_unique<Process>([&] {
      const int fd = open("f", O_RDWR);
      for (int n = 0; n < kRounds; ++n) {
        if (const int error = lock(fd, true); error != 0) return error;
        uint64_t value = 0;
        if (pread(fd, &value, 8, 0) != 8) return 1001;
        ++value;
        if (pwrite(fd, &value, 8, 0) != 8) return 1002;
        if (const int error = lock(fd, false); error != 0) return error;
      }
      return 0;
    }));
  }
  for (const auto& process : processes) EXPECT_EQ(process->Wait(), 0);
  uint64_t value = 0;
  const UniqueFd mine = Open("f", O_RDONLY);
  EXPECT_EQ(pread(mine.get(), &value, 8, 0), 8);
  EXPECT_EQ(value, uint64_t{kProcesses} * kRounds);
}

TEST_P(Locks, ProtectACounter) {
  Count([](int fd, bool on) { return Lock(fd, F_SETLKW, on ? F_WRLCK : F_UNLCK, 0, 8); });
}
TEST_P(Locks, OfDescriptionsProtectACounter) {
  Count([](int fd, bool on) { return Lock(fd, F_OFD_SETLKW, on ? F_WRLCK : F_UNLCK, 0, 8); });
}
TEST_P(Locks, FlockProtectsACounter) {
  Count([](int fd, bool on) { return ErrnoOf(flock(fd, on ? LOCK_EX : LOCK_UN)); });
}

}  // namespace
}  // namespace memfuse::conformance
