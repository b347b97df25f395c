import { defineConfig } from "vite";

// While one works on it: `PLIMSOLL=http://127.0.0.1:8080 npx vite`.
const target = process.env.PLIMSOLL ?? "http://127.0.0.1:8080";
const proxy = Object.fromEntries(["/v1", "/metrics", "/docs", "/openapi.json"].map((path) => [path, { target, ws: true }]));

// Three files with fixed names: the server embeds them by name, and the same sources give the same bytes.
export default defineConfig({
  base: "./",
  publicDir: false,
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  server: { proxy },
  preview: { proxy },
  build: {
    outDir: "dist",
    target: "es2022",
    modulePreload: false,
    cssCodeSplit: false,
    sourcemap: false,
    reportCompressedSize: false,
    rolldownOptions: {
      output: {
        codeSplitting: false,
        entryFileNames: "app.js",
        assetFileNames: "app.[ext]",
      },
    },
  },
});
