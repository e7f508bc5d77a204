// Beside each file that a browser loads, the same in gzip: the program sends what is packed already.
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

const packed = /\.(html|js|css|svg|json)$/;
let total = 0;

function pack(folder) {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    if (statSync(path).isDirectory()) {
      pack(path);
    } else if (packed.test(name)) {
      const gzip = gzipSync(readFileSync(path), { level: 9 });
      writeFileSync(`${path}.gz`, gzip);
      total += gzip.length;
    }
  }
}

pack('dist');
console.log(`all of it: ${(total / 1024).toFixed(1)} KiB compressed`);
