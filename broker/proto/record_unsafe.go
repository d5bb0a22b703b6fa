package proto

import "unsafe"

// RecordSize is a record's in bytes.
const RecordSize = 408

// The layout has no holes whose size a compiler might choose.
var _ [RecordSize]byte = [unsafe.Sizeof(Record{})]byte{}

// RecordBytes are the records' memory.
func RecordBytes(r []Record) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(r))), len(r)*RecordSize)
}
