// The plainest fan-out with `ws`: one message of Redis to all sockets of its channel.
import { createRequire } from 'node:module';
const need = createRequire(process.argv[2] + '/');
const { WebSocketServer } = need('ws');
const { createClient } = need('redis');

const rooms = new Map();
const server = new WebSocketServer({ port: 0, host: '127.0.0.1', backlog: 4096, perMessageDeflate: false });
server.on('connection', (socket, request) => {
  const room = 'ch:' + request.url.split('/').pop();
  if (!rooms.has(room)) rooms.set(room, new Set());
  rooms.get(room).add(socket);
  socket.on('close', () => rooms.get(room).delete(socket));
});
const redis = createClient({ url: process.argv[3] });
await redis.connect();
await redis.pSubscribe('ch:*', (message, channel) => {
  const bytes = Buffer.from(message);
  for (const socket of rooms.get(channel) ?? []) socket.send(bytes, { binary: false });
});
console.log(server.address().port);
