import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';

// The program serves what is built below /console/, and a copy may be served from anywhere else: so paths are relative.
export default defineConfig({
  base: './',
  plugins: [svelte()],
  build: {
    target: 'es2022',
    // What is inlined as data: would be refused by the policy that the program sends with the page.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
  },
  server: {
    proxy: { '/v1': process.env.HEADWORKS_ADMIN ?? 'http://127.0.0.1:9080' },
  },
});
