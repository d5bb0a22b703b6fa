package engine

import "runtime"

// tickEvery is less than the 10 ms that the runtime's monitor calls too long: see tick.
const tickEvery = int64(8e6)

// tick gives the processor up for a moment, every few milliseconds of a busy program. The runtime counts how often a processor
// changed its goroutine, and a thread that only calls in from C never does: after 10 ms without a change the monitor takes the processor
// away between two calls, finds it again with the same count, and goes on so every 20 us. That was 6 % of nginx's core, in context
// switches and in calls that wait for the monitor. Giving it up costs two changes of threads, as a goroutine that C called may not change its thread.
func (e *Engine) tick() {
	now := e.sh.Entered.Load()
	if last := e.ticked.Load(); now-last > tickEvery && e.ticked.CompareAndSwap(last, now) && last != 0 {
		runtime.Gosched()
	}
}
