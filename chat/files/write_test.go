package files

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"gocloud.dev/blob/memblob"
)

// TestBusyDisk: a write that does not get its turn fails like any other fault of the
// store, leaves nothing behind, and hinders none that comes later.
func TestBusyDisk(t *testing.T) {
	turns := diskWrites
	t.Cleanup(func() { diskWrites = turns })
	synctest.Test(t, func(t *testing.T) {
		diskWrites = make(chan struct{}, 1)
		store := New(memblob.OpenBucket(nil), "")
		write := func(f *File) error {
			return store.Write(t.Context(), f, Head{}, strings.NewReader("whole"), 10)
		}
		diskWrites <- struct{}{} // somebody whose write does not come back
		start := time.Now()
		f := &File{ID: "f1", ChatID: "c1", Name: "a.txt", Type: "text/plain"}
		err := write(f)
		require.ErrorIs(t, err, errBusy)
		require.ErrorIs(t, err, errStore)
		require.Equal(t, turnTimeout, time.Since(start))
		_, err = store.Find(t.Context(), "f1")
		require.ErrorIs(t, err, ErrNotFound)

		<-diskWrites
		require.NoError(t, write(f))
		require.EqualValues(t, 5, f.Size)
		_, err = store.Find(t.Context(), "f1")
		require.NoError(t, err)
		require.Empty(t, diskWrites)
	})
}
