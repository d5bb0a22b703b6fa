package broker

import "sort"

// divide shares queues evenly among members and moves as few as it can. owner[q] is the index of the member that has queue q now, or
// -1; pinned queues stay where they are. The result has, for each queue, the member that should have it (-1 if there is none).
//
// Everyone gets len(owner)/members queues; those who have most now keep what is over. With more members than queues the late ones get none: see
// kernelShare.
func divide(owner []int, pinned []bool, members int) []int {
	target := make([]int, len(owner))
	for q := range target {
		target[q] = -1
	}
	if members == 0 {
		return target
	}
	quota := quotas(owner, members)
	has := make([]int, members)
	keep := func(fixed bool) {
		for q, m := range owner {
			if m >= 0 && pinned[q] == fixed && (fixed || has[m] < quota[m]) {
				target[q] = m
				has[m]++
			}
		}
	}
	keep(true)
	keep(false)
	for q := range owner {
		if target[q] < 0 {
			m := poorest(has, quota)
			target[q] = m
			has[m]++
		}
	}
	return target
}

// kernelShare is how many of 256 new connections the kernel should get, so that members without a queue have some to accept: what would be
// theirs if all members had the same.
func kernelShare(queues, members int) uint8 {
	if members <= queues || queues == 0 {
		return 0
	}
	return uint8(256 * (members - queues) / members)
}

// quotas is how many queues each member should have.
func quotas(owner []int, members int) []int {
	count := make([]int, members)
	order := make([]int, members)
	for m := range order {
		order[m] = m
	}
	for _, m := range owner {
		if m >= 0 {
			count[m]++
		}
	}
	sort.SliceStable(order, func(i, j int) bool { return count[order[i]] > count[order[j]] })
	quota := make([]int, members)
	for i, m := range order {
		quota[m] = len(owner) / members
		if i < len(owner)%members {
			quota[m]++
		}
	}
	return quota
}

// poorest is the member that lacks most, the earliest among equals.
func poorest(has, quota []int) int {
	best := 0
	for m := range has {
		if quota[m]-has[m] > quota[best]-has[best] {
			best = m
		}
	}
	return best
}
