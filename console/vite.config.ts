import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';

/** What all pages share is one file and each folder of pages another: few requests, and none for what is not looked at. */
function chunkOf(id: string): string | undefined {
  if (id.includes('uplot')) return undefined;
  const page = /src\/pages\/([^/]+)\//.exec(id)?.[1];
  if (page) return page;
  return /src\/(lib|ui|shell)\/|node_modules\/(svelte|esm-env|clsx)\//.test(id) ? 'shared' : undefined;
}

// The program serves what is built below /console/, and a copy may be served from anywhere else: so paths are relative.
export default defineConfig({
  base: './',
  plugins: [svelte()],
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
