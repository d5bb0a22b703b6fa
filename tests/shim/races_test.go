package shim

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/broker"
	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/bedtest"
)

// TestDataRaces plays reuse.c with the C parts linked into it, all built with TSan: a preloaded object's functions run before TSan's are ready, a
// program's do not. The engine is as it is, so of the words that both share TSan sees what C does. A counter that is no atomic, planted
// where every call passes, shows that a race would be told of. `make races SECONDS=3600` does it for long.
func TestDataRaces(t *testing.T) {
	length := 3 * time.Second
	if asked := os.Getenv("SLT_RACES"); asked != "" {
		n, err := strconv.Atoi(asked)
		require.NoError(t, err)
		length = time.Duration(n) * time.Second
	} else if testing.Short() {
		t.Skip("takes 10 s")
	}
	r := &raceRig{bed: bedtest.New(t, testbed.Config{}), dir: t.TempDir()}
	r.socket = startBroker(t, r.dir)
	require.NoError(t, os.Symlink(built(t, "libsluice_engine.so"), filepath.Join(r.dir, "libsluice_engine.so")))
	cc(t, filepath.Join(r.dir, "peer"), "reuse/peer.c")
	objects := withTSan(t, r.dir)
	sound, planted := r.link(t, "sound", objects), r.link(t, "planted", plant(t, r.dir, objects))

	t.Run("none", func(t *testing.T) {
		said, err := r.play(t, sound, length)
		require.Empty(t, said)
		require.NoError(t, err)
	})
	t.Run("planted", func(t *testing.T) {
		said := ""
		for tries := 0; tries < 10 && said == ""; tries++ {
			said, _ = r.play(t, planted, time.Second) // TSan makes it slow: it may find that it did too little
		}
		require.Contains(t, said, "WARNING: ThreadSanitizer: data race")
		require.Contains(t, said, "file_get_slow")
	})
}

func gcc(args ...string) error {
	args = append([]string{"-std=gnu11", "-D_GNU_SOURCE", "-O1", "-g", "-Wall", "-pthread", "-fPIE", "-fsanitize=thread", "-DSLUICE_LOCKS"}, args...)
	if out, err := exec.Command("gcc", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("gcc %v: %w: %s", args, err, out)
	}
	return nil
}

// withTSan compiles the C parts, and what plays with them: object by source.
func withTSan(t *testing.T, dir string) map[string]string {
	sources, err := filepath.Glob("../../shim/*.c")
	require.NoError(t, err)
	objects := map[string]string{}
	todo, failed := make(chan string), make([]error, runtime.NumCPU())
	var compilers sync.WaitGroup
	for i := range failed {
		compilers.Go(func() {
			for s := range todo {
				args := []string{"-c", s, "-o", objectOf(dir, s)}
				if filepath.Base(s) == "space.c" { // getrlimit: TSan's runtime calls it before it is ready
					args = append(args, "-fno-sanitize=thread")
				}
				failed[i] = errors.Join(failed[i], gcc(args...))
			}
		})
	}
	for _, s := range append(sources, "reuse/reuse.c") {
		objects[filepath.Base(s)] = objectOf(dir, s)
		todo <- s
	}
	close(todo)
	compilers.Wait()
	require.NoError(t, errors.Join(failed...))
	return objects
}

func objectOf(dir, source string) string {
	return filepath.Join(dir, strings.TrimSuffix(filepath.Base(source), ".c")+".o")
}

// plant makes the race: every look-up of a descriptor counts, and nothing orders the counts of two threads.
func plant(t *testing.T, dir string, objects map[string]string) map[string]string {
	text, err := os.ReadFile("../../shim/fdmap.c")
	require.NoError(t, err)
	const where = "struct file *file_get_slow(int fd)\n{\n"
	require.Contains(t, string(text), where)
	source, object := filepath.Join(dir, "planted.c"), filepath.Join(dir, "planted.o")
	with := strings.Replace(string(text), where, "static unsigned long planted;\n"+where+"    planted++;\n", 1)
	require.NoError(t, os.WriteFile(source, []byte(with), 0o644))
	require.NoError(t, gcc("-iquote", "../../shim", "-c", source, "-o", object))
	other := maps.Clone(objects)
	other["fdmap.c"] = object
	return other
}

// raceRig is where both programs run.
type raceRig struct {
	bed         *testbed.Bed
	dir, socket string
}

func (r *raceRig) link(t *testing.T, name string, objects map[string]string) (program string) {
	args := []string{"-pie", "-o", filepath.Join(r.dir, name)}
	for _, o := range objects {
		args = append(args, o)
	}
	require.NoError(t, gcc(append(args, "-ldl")...))
	return filepath.Join(r.dir, name)
}

// ofDescriptor is a report about a descriptor itself, to which TSan takes opening and closing for writes.
var ofDescriptor = regexp.MustCompile(`(?i)write of size 8 at .*\n +#0 (f?open(at|64)?|close|pipe2?|dup[23]?|socket|accept4?|epoll_create1?|eventfd) `)

// races are TSan's reports but for those about descriptors: that threads use numbers which others close is what the program is for.
func races(text string) (all string) {
	for _, report := range strings.Split(text, strings.Repeat("=", 18)+"\n") {
		if strings.Contains(report, "data race") && !strings.Contains(report, "Location is file descriptor") && !ofDescriptor.MatchString(report) {
			all += report
		}
	}
	return all
}

// play runs the program, and returns TSan's reports.
func (r *raceRig) play(t *testing.T, program string, length time.Duration) (reports string, err error) {
	own, peers := r.bed.Server.IPv4.String(), r.bed.Client.IPv4.String()
	said := filepath.Join(t.TempDir(), "tsan")
	stop := startPeer(t, r.bed.Client, exec.Command(filepath.Join(r.dir, "peer"), own, "7001", peers, "7002"))
	c := exec.Command(program, own, "7001", peers, "7002", fmt.Sprint(length.Milliseconds()), "1")
	var text, counts bytes.Buffer
	c.Env = []string{"SLUICE_BROKER=" + r.socket, "SLUICE_CONNECT=*:*", "REUSE_FIRST=1", "TSAN_OPTIONS=exitcode=0 log_path=" + said}
	c.Stdout, c.Stderr = &text, &counts
	require.NoError(t, r.bed.Server.Start(c))
	defer time.AfterFunc(length+2*time.Minute, func() { _ = c.Process.Kill() }).Stop()
	err = c.Wait()
	t.Log(counts.String())
	files, _ := filepath.Glob(said + ".*")
	for _, f := range files {
		found, err := os.ReadFile(f)
		require.NoError(t, err)
		reports += races(string(found))
	}
	require.Empty(t, stop())
	if err != nil {
		return reports, fmt.Errorf("%w: %s", err, text.String())
	}
	require.Equal(t, "0 wrong\n", text.String())
	bedtest.Until(t, "connections of both kinds to be counted", func() bool {
		st, err := broker.Query(r.socket, bedtest.CleanLimit)
		return err == nil && st.Ended["accepted"] > 20 && st.Ended["connected"] > 20
	})
	return reports, nil
}
