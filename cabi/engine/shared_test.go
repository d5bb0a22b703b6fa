package engine

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAChangedHandleIsListedOnce(t *testing.T) {
	sh := new(Shared)
	sh.changed(5)
	sh.changed(6)
	sh.changed(5)
	require.EqualValues(t, 2, sh.ChangedTail.Load())
	require.EqualValues(t, 5, sh.Changed[0].Load())
	sh.Queued[5].Store(0) // C has looked at it
	sh.changed(5)
	require.EqualValues(t, 3, sh.ChangedTail.Load())
}

func TestTheRingOfChangedHandlesNeverOverflows(t *testing.T) {
	sh := new(Shared)
	for range 3 {
		for h := range int32(MaxHandles) {
			sh.changed(h)
		}
	}
	require.EqualValues(t, MaxHandles, sh.ChangedTail.Load()-sh.ChangedHead.Load())
}

func TestNotesAreCutAndTerminated(t *testing.T) {
	sh := new(Shared)
	sh.note(levelInfo, string(bytes.Repeat([]byte{'x'}, 1000)))
	sh.note(levelError, "short")
	require.EqualValues(t, 0, sh.Notes[0].Text[noteText-1])
	require.Equal(t, "short\x00", string(sh.Notes[1].Text[:6]))
	require.EqualValues(t, 2, sh.NotesTail.Load())
}

func TestOwnDescriptorsAreListed(t *testing.T) {
	sh := new(Shared)
	sh.own(700)
	sh.own(701)
	sh.disown(700)
	require.Zero(t, sh.Own[0].Load())
	require.EqualValues(t, 702, sh.Own[1].Load())
	require.EqualValues(t, 3, sh.OwnChanges.Load())
}
