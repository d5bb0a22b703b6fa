// GET /N answers N bytes, PUT answers the sum of what came.
const http = require("http"), crypto = require("crypto");
const [addr, port] = process.argv.slice(2);
http.createServer((req, res) => {
  if (req.method === "GET") return res.end(Buffer.alloc(+req.url.slice(1), "0123456789abcdef"));
  const h = crypto.createHash("sha256");
  req.on("data", (d) => h.update(d)).on("end", () => res.end(h.digest("hex") + "\n"));
}).listen(+port, addr, 511);
process.on("SIGTERM", () => process.exit(0));
