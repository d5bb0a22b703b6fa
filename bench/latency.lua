-- Makes wrk print every latency it recorded (microseconds) and how often, besides its own summary.
function done(summary, latency, requests)
  for i = 1, #latency do
    local value, count = latency(i)
    io.write(string.format("latency %d %d\n", value, count))
  end
end
