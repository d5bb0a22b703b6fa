#!/bin/sh
# The settings that the scripts count on. Each run has a network namespace of its own, so nothing is put back; what a script
# needs otherwise it gives as arguments, without "tcp_": ./defaults.sh timestamps=1 ecn=2
set -e
for s in rmem="4096 131072 6291456" wmem="4096 262144 4194304" congestion_control=cubic timestamps=0 sack=1 dsack=1 \
  window_scaling=1 ecn=0 frto=2 early_retrans=3 recovery=1 reordering=3 slow_start_after_idle=1 syncookies=1 \
  syn_retries=6 synack_retries=5 retries2=15 min_tso_segs=2 fastopen=0 no_metrics_save=1 "$@"; do
  case $s in
  congestion_control=*) modprobe -q tcp_cubic 2>/dev/null || true ;;
  esac
  sysctl -q -w "net.ipv4.tcp_$s"
done
