import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.*;
import java.util.*;

/** An echo server with one selector, and a client that holds a hundred channels with one selector. */
public class Echo {
    public static void main(String[] a) throws Exception {
        var at = new InetSocketAddress(a[1], Integer.parseInt(a[2]));
        if (a[0].equals("serve")) serve(at); else ask(at);
    }

    static void serve(InetSocketAddress at) throws IOException {
        var sel = Selector.open();
        var ls = ServerSocketChannel.open();
        ls.bind(at, 200);
        ls.configureBlocking(false);
        ls.register(sel, SelectionKey.OP_ACCEPT);
        while (true) {
            sel.select();
            for (var it = sel.selectedKeys().iterator(); it.hasNext(); ) {
                var k = it.next();
                it.remove();
                if (k.isAcceptable()) {
                    var c = ls.accept();
                    if (c == null) continue;
                    c.configureBlocking(false);
                    c.register(sel, SelectionKey.OP_READ, ByteBuffer.allocate(8192));
                    continue;
                }
                var c = (SocketChannel) k.channel();
                var b = (ByteBuffer) k.attachment();
                if (k.isReadable() && c.read(b) < 0) { c.close(); continue; }
                b.flip();
                c.write(b);
                b.compact();
                k.interestOps((b.hasRemaining() ? SelectionKey.OP_READ : 0) | (b.position() > 0 ? SelectionKey.OP_WRITE : 0));
            }
        }
    }

    static void ask(InetSocketAddress at) throws IOException {
        final int n = 100, size = 50000;
        var sel = Selector.open();
        var sums = new long[n];
        var sent = new int[n];
        var got = new int[n];
        for (int i = 0; i < n; i++) {
            var c = SocketChannel.open();
            c.configureBlocking(false);
            c.connect(at);
            c.register(sel, SelectionKey.OP_CONNECT, i);
        }
        var in = ByteBuffer.allocateDirect(16384);
        for (int left = n; left > 0; ) {
            sel.select();
            for (var it = sel.selectedKeys().iterator(); it.hasNext(); ) {
                var k = it.next();
                it.remove();
                int i = (Integer) k.attachment();
                var c = (SocketChannel) k.channel();
                if (k.isConnectable()) {
                    c.finishConnect();
                    k.interestOps(SelectionKey.OP_READ | SelectionKey.OP_WRITE);
                    continue;
                }
                if (k.isWritable()) {
                    var out = new byte[Math.min(1000, size - sent[i])];
                    for (int j = 0; j < out.length; j++) out[j] = (byte) ((sent[i] + j) * (i + 1));
                    sent[i] += c.write(ByteBuffer.wrap(out));
                    if (sent[i] == size) k.interestOps(SelectionKey.OP_READ);
                }
                if (k.isReadable()) {
                    in.clear();
                    int r = c.read(in);
                    if (r < 0) throw new IOException("ended early");
                    in.flip();
                    while (in.hasRemaining()) sums[i] = sums[i] * 31 + in.get();
                    got[i] += r;
                    if (got[i] == size) { c.close(); left--; }
                }
            }
        }
        System.out.println(Arrays.toString(sums));
    }
}
