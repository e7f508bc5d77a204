import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { constants, gzipSync } from 'node:zlib';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig, type Plugin } from 'vite';

/** What all pages share is one file and each folder of pages another: few requests, and none for what is not looked at. */
function chunkOf(id: string): string | undefined {
  if (id.includes('uplot')) return undefined;
  const page = /src\/pages\/([^/]+)\//.exec(id)?.[1];
  if (page) return page;
  return /src\/(lib|ui|shell)\/|node_modules\/(svelte|esm-env|clsx)\//.test(id) ? 'shared' : undefined;
}

/** Leaves beside each file what the program hands to browsers in its place: it is packed once, here. */
function packed(): Plugin {
  let out = '';
  return {
    name: 'packed',
    apply: 'build',
    configResolved: (config) => void (out = config.build.outDir),
    closeBundle() {
      for (const name of readdirSync(out, { recursive: true, encoding: 'utf8' })) {
        if (!/\.(html|js|css|svg)$/.test(name)) continue;
        const file = join(out, name);
        writeFileSync(`${file}.gz`, gzipSync(readFileSync(file), { level: constants.Z_BEST_COMPRESSION }));
      }
    },
  };
}

// The program serves what is built below /console/, and a copy may be served from anywhere else: so paths are relative.
export default defineConfig({
  base: './',
  plugins: [svelte(), packed()],
  build: {
    target: 'es2022',
    // What is inlined as data: would be refused by the policy that the program sends with the page.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rollupOptions: { output: { manualChunks: chunkOf } },
  },
  server: {
    proxy: { '/v1': process.env.HEADWORKS_ADMIN ?? 'http://127.0.0.1:9080' },
  },
});
