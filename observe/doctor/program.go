package doctor

import (
	"bufio"
	"bytes"
	"debug/buildinfo"
	"debug/elf"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Command looks at the file of a command that is to be run.
func Command(r *Report, name string) {
	path, err := exec.LookPath(name)
	if err != nil && !errors.Is(err, exec.ErrDot) {
		r.add(Bad, name, "", "%v", err)
		return
	}
	for range 4 { // scripts of scripts
		interpreter := shebang(path)
		if interpreter == "" {
			break
		}
		r.add(Good, path, "", "is a script for %s, which is what is accelerated", interpreter)
		path = interpreter
	}
	file(r, path, path)
}

// file says whether a program's calls can be intercepted.
func file(r *Report, about, path string) bool {
	st, err := os.Stat(path)
	if err != nil {
		r.add(Bad, about, "", "%v", err)
		return false
	}
	if st.Mode()&(os.ModeSetuid|os.ModeSetgid) != 0 {
		r.add(Bad, about, "start it as the user it changes to", "is set-user-ID or set-group-ID: the loader drops LD_PRELOAD")
		return false
	}
	f, err := elf.Open(path)
	if err != nil {
		r.add(Bad, about, "", "is no ELF program: %v", err)
		return false
	}
	defer f.Close()
	if info, err := buildinfo.ReadFile(path); err == nil {
		r.add(Bad, about, "", "is a Go program (%s): it makes its system calls itself, which nothing can intercept", info.GoVersion)
		return false
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			interp, _ := io.ReadAll(p.Open())
			if strings.Contains(string(interp), "musl") {
				r.add(Note, about, "", "is linked with musl, which is not tested")
			}
			r.add(Good, about, "", "is dynamically linked: its calls can be intercepted")
			return true
		}
	}
	r.add(Bad, about, "use a dynamically linked build", "is statically linked: LD_PRELOAD has no effect")
	return false
}

// shebang is a script's interpreter, "" if it is none.
func shebang(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	line, _ := bufio.NewReader(io.LimitReader(f, 256)).ReadBytes('\n')
	rest, ok := bytes.CutPrefix(line, []byte("#!"))
	words := strings.Fields(string(rest))
	if !ok || len(words) == 0 {
		return ""
	}
	if filepath.Base(words[0]) == "env" && len(words) > 1 {
		if p, err := exec.LookPath(words[len(words)-1]); err == nil {
			return p
		}
	}
	return words[0]
}
