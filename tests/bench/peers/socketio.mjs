// Socket.IO over WebSocket alone, fed by Redis: one message to all of a room.
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
const need = createRequire(process.argv[2] + '/');
const { Server } = need('socket.io');
const { createClient } = need('redis');

const http = createServer();
const io = new Server(http, { transports: ['websocket'], perMessageDeflate: false });
io.on('connection', (socket) => { socket.join('ch:' + (socket.handshake.query.p ?? '0')); });
const redis = createClient({ url: process.argv[3] });
await redis.connect();
await redis.pSubscribe('ch:*', (message, channel) => io.to(channel).emit('event', message));
http.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => console.log(http.address().port));
