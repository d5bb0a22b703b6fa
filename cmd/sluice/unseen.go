package main

import (
	"bufio"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// unseen says which of a program's socket calls would not be seen by the preload object, and why, or nothing. A guess may be wrong only towards
// silence: the kernel serves such a program in any case.
func unseen(path string) string {
	path = interpreter(path, 4)
	if why := blind(path); why != "" {
		return "not accelerated, the kernel serves it: " + why
	}
	// Many a program uses rings for its files alone (MariaDB), and its sockets as ever.
	if f, err := elf.Open(path); err == nil {
		defer f.Close()
		if libs, _ := f.ImportedLibraries(); has(libs, "liburing.so") {
			return "what it does by io_uring is not accelerated, the kernel serves that: a ring makes no calls"
		}
	}
	return ""
}

// blind says why none of its calls is seen.
func blind(path string) string {
	if why := privileged(path); why != "" {
		return why
	}
	f, err := elf.Open(path)
	if err != nil {
		return "" // execve will say it
	}
	defer f.Close()
	libs, _ := f.ImportedLibraries()
	switch loader := loaderOf(f); {
	case f.Machine != machine():
		return fmt.Sprintf("it is built for %v, libsluice.so for %v", f.Machine, machine())
	case f.Section(".go.buildinfo") != nil || f.Section(".note.go.buildid") != nil:
		return "a Go program makes its system calls itself, past libc"
	case loader == "" && len(libs) == 0:
		return "it is linked statically, so nothing can be loaded before its libc"
	case strings.Contains(loader, "ld-musl"):
		return "it runs on musl, libsluice.so on glibc"
	}
	return ""
}

// interpreter follows "#!" lines, at most so many.
func interpreter(path string, depth int) string {
	f, err := os.Open(path)
	if err != nil || depth == 0 {
		return path
	}
	defer f.Close()
	line, _ := bufio.NewReaderSize(f, 256).ReadSlice('\n')
	words := strings.Fields(strings.TrimPrefix(string(line), "#!"))
	if !strings.HasPrefix(string(line), "#!") || len(words) == 0 {
		return path
	}
	if filepath.Base(words[0]) == "env" {
		for _, w := range words[1:] {
			if strings.HasPrefix(w, "-") || strings.Contains(w, "=") {
				continue
			}
			if p, err := exec.LookPath(w); err == nil {
				words[0] = p
			}
			break
		}
	}
	return interpreter(words[0], depth-1)
}

// privileged: "In secure-execution mode, preload pathnames containing slashes are ignored." ld.so(8)
func privileged(path string) string {
	var st unix.Stat_t
	var fs unix.Statfs_t
	if unix.Stat(path, &st) != nil || unix.Statfs(path, &fs) == nil && fs.Flags&unix.ST_NOSUID != 0 {
		return ""
	}
	const why = ", so the loader ignores LD_PRELOAD"
	switch n, err := unix.Getxattr(path, "security.capability", nil); {
	case st.Mode&unix.S_ISUID != 0 && int(st.Uid) != os.Getuid():
		return "it is set-user-ID" + why
	case st.Mode&unix.S_ISGID != 0 && st.Mode&unix.S_IXGRP != 0 && int(st.Gid) != os.Getgid():
		return "it is set-group-ID" + why
	case err == nil && n > 0 && os.Getuid() != 0:
		return "it has capabilities of its own" + why
	}
	return ""
}

func loaderOf(f *elf.File) string {
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			text := make([]byte, min(p.Filesz, 4096))
			n, _ := p.ReadAt(text, 0)
			return strings.TrimRight(string(text[:n]), "\x00")
		}
	}
	return ""
}

func machine() elf.Machine {
	if runtime.GOARCH == "arm64" {
		return elf.EM_AARCH64
	}
	return elf.EM_X86_64
}

func has(libs []string, prefix string) bool {
	for _, l := range libs {
		if strings.HasPrefix(l, prefix) {
			return true
		}
	}
	return false
}
