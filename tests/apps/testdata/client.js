// Two hundred requests over ten kept connections, and a paused stream that is read slowly.
const http = require("http"), crypto = require("crypto");
const [addr, port] = process.argv.slice(2);
const agent = new http.Agent({ keepAlive: true, maxSockets: 10 });
const get = (n) => new Promise((done, fail) => {
  http.get({ host: addr, port, path: "/" + n, agent }, (res) => {
    const h = crypto.createHash("sha256");
    let pause = n > 1e6;
    res.on("data", (d) => {
      h.update(d);
      if (pause) { res.pause(); setTimeout(() => res.resume(), 2); }
    });
    res.on("end", () => done(n + " " + h.digest("hex")));
  }).on("error", fail);
});
(async () => {
  const all = await Promise.all([...Array(200).keys()].map((i) => get(i * 331)));
  all.push(await get(4 << 20));
  console.log(all.join("\n"));
  agent.destroy();
})().catch((e) => { console.error(e); process.exit(1); });
