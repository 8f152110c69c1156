// execve(2) and shared libraries from the file system.

#include <dlfcn.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "tests/conformance/conformance.h"
#include "tests/conformance/mounts.h"

namespace memfuse::conformance {
namespace {

CONFORMANCE_SUITE(Exec);
ROOT_CONFORMANCE_SUITE(ExecAsRoot);

void CopyProgram(const std::string& from, const std::string& to, mode_t mode = 0755) {
  MakeFile(to, ReadFile(from), mode);
}

// The path of a shared library that this program itself uses.
std::string LibraryPath() {
  Dl_info info = {};
  EXPECT_NE(dladdr(reinterpret_cast<void*>(&::write), &info), 0);
  return info.dli_fname;
}

TEST_P(Exec, ABinaryRuns) {
  CopyProgram("/bin/true", "true");
  CopyProgram("/bin/false", "false");
  EXPECT_EQ(Spawn({"./true"}), 0);
  EXPECT_EQ(Spawn({"./false"}), 1);
  EXPECT_EQ(Spawn({Absolute("true")}), 0);
  ASSERT_EQ(symlink("true", "l"), 0);
  EXPECT_EQ(Spawn({"./l"}), 0);
}

TEST_P(Exec, AScriptRuns) {
  MakeFile("s", "#!/bin/sh\nexit 42\n", 0755);
  EXPECT_EQ(Spawn({"./s"}), 42);
  CopyProgram("/bin/sh", "interpreter");
  MakeFile("t", "#!./interpreter\nexit \"$1\"\n", 0755);
  EXPECT_EQ(Spawn({"./t", "43"}), 43);
  MakeFile("missing", "#!./no-interpreter\n", 0755);
  EXPECT_EQ(Spawn({"./missing"}), -ENOENT);
  MakeFile("itself", "#!./itself\n", 0755);
  EXPECT_EQ(Spawn({"./itself"}), -ELOOP);
}

TEST_P(Exec, ByDescriptor) {
  CopyProgram("/bin/true", "true");
  const UniqueFd fd = Open("true", O_RDONLY);
  const pid_t child = fork();
  if (child == 0) {
    char name[] = "true";
    char* arguments[] = {name, nullptr};
    fexecve(fd.get(), arguments, environ);
    _exit(1);
  }
  int status;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST_P(Exec, Errors) {
  MakeFile("empty", "", 0755);
  MakeFile("garbage", "garbage", 0755);
  MakeFile("mode", "#!/bin/true\n", 0644);
  ASSERT_EQ(mkdir("d", 0755), 0);
  ASSERT_EQ(mkfifo("fifo", 0755), 0);
  ASSERT_EQ(symlink("loop", "loop"), 0);
  EXPECT_EQ(Spawn({"./empty"}), -ENOEXEC);
  EXPECT_EQ(Spawn({"./garbage"}), -ENOEXEC);
  EXPECT_EQ(Spawn({"./mode"}), -EACCES);
  EXPECT_EQ(Spawn({"./d"}), -EACCES);
  EXPECT_EQ(Spawn({"./fifo"}), -EACCES);
  EXPECT_EQ(Spawn({"./missing"}), -ENOENT);
  EXPECT_EQ(Spawn({"./mode/x"}), -ENOTDIR);
  EXPECT_EQ(Spawn({"./loop"}), -ELOOP);
  EXPECT_EQ(Spawn({"./" + LongName(kNameMax + 1)}), -ENAMETOOLONG);
}

TEST_P(Exec, AFileThatIsOpenForWritingIsBusy) {
  CopyProgram("/bin/true", "true");
  {
    const UniqueFd writer = Open("true", O_WRONLY);
    EXPECT_EQ(Spawn({"./true"}), -ETXTBSY);
  }
  EXPECT_EQ(Spawn({"./true"}), 0);
}

TEST_P(Exec, AProgramThatRunsIsBusy) {
  CopyProgram("/bin/sleep", "sleep");
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  const pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    execl("./sleep", "sleep", "infinity", nullptr);
    _exit(1);
  }
  write_end.reset();
  // The pipe ends when the program runs, because execve(2) closes it in the child.
  char path[4096];
  ASSERT_EQ(read(read_end.get(), path, 1), 0);
  const ssize_t size =
      readlink(("/proc/" + std::to_string(child) + "/exe").c_str(), path, sizeof(path));
  EXPECT_EQ(std::string(path, size < 0 ? 0 : static_cast<size_t>(size)), Absolute("sleep"));
  EXPECT_EQ(ErrnoOf(open("sleep", O_WRONLY)), ETXTBSY);
  EXPECT_EQ(ErrnoOf(open("sleep", O_RDWR | O_TRUNC)), ETXTBSY);
  EXPECT_EQ(ErrnoOf(truncate("sleep", 0)), ETXTBSY);
  EXPECT_EQ(ErrnoOf(open("sleep", O_RDONLY)), 0);
  // A rename does not affect the running file.
  EXPECT_EQ(ErrnoOf(unlink("sleep")), 0);
  ASSERT_EQ(kill(child, SIGKILL), 0);
  int status;
  ASSERT_EQ(waitpid(child, &status, 0), child);
}

TEST_P(Exec, ARewrittenProgramRunsInItsNewForm) {
  MakeFile("s", "#!/bin/sh\nexit 1\n", 0755);
  for (int i = 2; i < 8; ++i) {
    EXPECT_EQ(Spawn({"./s"}), i - 1);
    const UniqueFd fd = Open("s", O_WRONLY | O_TRUNC);
    const std::string text = "#!/bin/sh\nexit " + std::to_string(i) + "\n";
    ASSERT_EQ(write(fd.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
}

TEST_P(Exec, SharedLibraries) {
  CopyProgram(LibraryPath(), "library.so", 0644);
  // In a child process, because the C library never unloads the library.
  EXPECT_EQ(InChild([this] {
              void* const library = dlmopen(LM_ID_NEWLM, Absolute("library.so").c_str(), RTLD_NOW);
              if (library == nullptr) return -1;
              return dlsym(library, "write") != nullptr ? 0 : -2;
            }),
            0);
  EXPECT_EQ(Spawn({"/bin/true"}, {"LD_LIBRARY_PATH=" + directory()}), 0);
  CopyProgram("/bin/true", "true");
  EXPECT_EQ(Spawn({"./true"}, {"LD_PRELOAD=" + Absolute("library.so")}), 0);
}

TEST_P(ExecAsRoot, NeedsPermission) {
  MakeFile("s", "#!/bin/true\n", 0755);
  const auto run = [] { return -Spawn({"./s"}); };
  EXPECT_EQ(As(kAlice, run), 0);
  ASSERT_EQ(chmod("s", 0711), 0);
  CopyProgram("/bin/true", "binary", 0711);
  EXPECT_EQ(As(kAlice, [] { return -Spawn({"./binary"}); }), 0) << "reading is not executing";
  ASSERT_EQ(chmod("binary", 0744), 0);
  EXPECT_EQ(As(kAlice, [] { return -Spawn({"./binary"}); }), EACCES);
  // Root needs at least one execute bit.
  EXPECT_EQ(Spawn({"./binary"}), 0);
  ASSERT_EQ(chmod("binary", 0666), 0);
  EXPECT_EQ(Spawn({"./binary"}), -EACCES);
  ASSERT_EQ(chmod("binary", 0001), 0);
  EXPECT_EQ(Spawn({"./binary"}), 0);
}

TEST_P(ExecAsRoot, NoexecMounts) {
  CopyProgram("/bin/true", "true");
  MakeFile("s", "#!/bin/true\n", 0755);
  const PrivateMounts mounts;
  ASSERT_EQ(BindAt(".", "m", MS_NOEXEC), 0);
  EXPECT_EQ(Spawn({"./m/true"}), -EACCES);
  EXPECT_EQ(Spawn({"./m/s"}), -EACCES);
  EXPECT_EQ(ErrnoOf(access("m/true", X_OK)), EACCES);
  EXPECT_EQ(ErrnoOf(access("m/true", R_OK)), 0);
  const UniqueFd fd = Open("m/true", O_RDONLY);
  EXPECT_EQ(mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd.get(), 0), MAP_FAILED);
  EXPECT_EQ(errno, EPERM);
  EXPECT_EQ(Spawn({"./true"}), 0);
}

TEST_P(ExecAsRoot, SetuidAndSetgid) {
  CopyProgram("/usr/bin/id", "id");
  const auto output = [](const char* option) {
    return As(kAlice, [option] { return std::atoi(OutputOf({"./id", option}).c_str()); });
  };
  ASSERT_EQ(chown("id", kBob.uid, kStranger.gid), 0);
  ASSERT_EQ(chmod("id", 0755), 0);
  EXPECT_EQ(output("-u"), static_cast<int>(kAlice.uid));
  ASSERT_EQ(chmod("id", 06755), 0);
  EXPECT_EQ(output("-u"), static_cast<int>(kBob.uid));
  EXPECT_EQ(output("-g"), static_cast<int>(kStranger.gid));
  const PrivateMounts mounts;
  ASSERT_EQ(BindAt(".", "m", MS_NOSUID), 0);
  EXPECT_EQ(As(kAlice,
               [] {
                 return std::atoi(OutputOf({"./m/id", "-u"}).c_str());
               }),
            static_cast<int>(kAlice.uid));
}

}  // namespace
}  // namespace memfuse::conformance
