// Package endurance does the same thing very often, or for very long, through the whole chain: 100,000 connections held and used (`make hold`), ten
// million opened and closed (`make turnover`), more octets in each direction than there are sequence numbers (`make wrap`); and lets the memory for
// packets run full (TestFullMemory). `make test` does little of the first two.
package endurance
