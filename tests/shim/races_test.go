package shim

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
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
	if os.Getenv("SLT_RACES") == "" {
		t.Skip("make races")
	}
	n, err := strconv.Atoi(os.Getenv("SLT_RACES"))
	require.NoError(t, err)
	length := time.Duration(n) * time.Second
	r := &raceRig{bed: bedtest.New(t, testbed.Config{}), dir: t.TempDir()}
	r.socket = startBroker(t, r.dir)
	require.NoError(t, os.Symlink(built(t, "libsluice_engine.so"), filepath.Join(r.dir, "libsluice_engine.so")))
	cc(t, filepath.Join(r.dir, "peer"), "reuse/peer.c")
	objects := withTSan(t, r.dir)
	sound, planted := r.link(t, "sound", objects), r.link(t, "planted", plant(t, r.dir, objects))

	t.Run("none", func(t *testing.T) { require.Empty(t, r.play(t, sound, length)) })
	t.Run("planted", func(t *testing.T) {
		said := ""
		for tries := 0; tries < 10 && said == ""; tries++ {
			said = r.play(t, planted, time.Second)
		}
		require.Contains(t, said, "WARNING: ThreadSanitizer: data race")
		require.Contains(t, said, "file_get_slow")
	})
}

var tsan = []string{"-std=gnu11", "-D_GNU_SOURCE", "-O1", "-g", "-Wall", "-pthread", "-fPIE", "-fsanitize=thread"}

func gcc(args ...string) error {
	if out, err := exec.Command("gcc", append(args, tsan...)...).CombinedOutput(); err != nil {
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
				failed[i] = errors.Join(failed[i], gcc("-c", s, "-o", objectOf(dir, s)))
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

// play runs the program, and returns TSan's reports.
func (r *raceRig) play(t *testing.T, program string, length time.Duration) (reports string) {
	own, peers := r.bed.Server.IPv4.String(), r.bed.Client.IPv4.String()
	said := filepath.Join(t.TempDir(), "tsan")
	stop := startPeer(t, r.bed.Client, exec.Command(filepath.Join(r.dir, "peer"), own, "7001", peers, "7002"))
	c := exec.Command(program, own, "7001", peers, "7002", fmt.Sprint(length.Milliseconds()), "1")
	var text, counts bytes.Buffer
	c.Env = []string{"SLUICE_BROKER=" + r.socket, "SLUICE_CONNECT=*:*", "REUSE_FIRST=1", "TSAN_OPTIONS=exitcode=0 log_path=" + said}
	c.Stdout, c.Stderr = &text, &counts
	require.NoError(t, r.bed.Server.Start(c))
	defer time.AfterFunc(length+2*time.Minute, func() { _ = c.Process.Kill() }).Stop()
	err := c.Wait()
	t.Log(counts.String())
	files, _ := filepath.Glob(said + ".*")
	for _, f := range files {
		found, err := os.ReadFile(f)
		require.NoError(t, err)
		reports += string(found)
	}
	require.NoError(t, err, "%s", reports)
	require.Empty(t, stop())
	require.Equal(t, "0 wrong\n", text.String())
	bedtest.Until(t, "connections of both kinds to be counted", func() bool {
		st, err := broker.Query(r.socket, bedtest.CleanLimit)
		return err == nil && st.Ended["accepted"] > 20 && st.Ended["connected"] > 20
	})
	return reports
}
