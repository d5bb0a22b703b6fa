package efvi_test

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/efvi"
	"github.com/sluice-net/sluice/efvi/loop"
)

// A driver has little to write.
func TestTheInterfaceStaysSmall(t *testing.T) {
	require.LessOrEqual(t, reflect.TypeFor[efvi.VI]().NumMethod(), 8)
}

// A packet's way from one VI to another, by the four hands that a frame goes through.
func Example() {
	memory := func() efvi.Memory { return efvi.Memory{Bytes: make([]byte, 4*efvi.FrameSize)} }
	here, there := memory(), memory()
	a, b := loop.New(here, there, loop.Config{})

	b.Post([]uint32{2}) // b may receive into its frame 2
	n := copy(here.Frame(0), "a packet")
	a.Send(0, 0, uint32(n))
	if err := a.Flush(); err != nil { // efvi.ErrBusy passes by itself: flush again at the next turn
		fmt.Println(err)
	}

	var events [16]efvi.Event
	for _, e := range events[:a.Poll(events[:])] {
		fmt.Println("a has its frame", e.Frame, "again:", e.Kind == efvi.EventTX)
	}
	for _, e := range events[:b.Poll(events[:])] {
		fmt.Printf("b received %q in its frame %d\n", there.Data(e), e.Frame)
	}
	// Output:
	// a has its frame 0 again: true
	// b received "a packet" in its frame 2
}
