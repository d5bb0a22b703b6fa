// Command sluice runs programs with accelerated sockets, and the broker behind them.
package main

func main() {}
