// Opens a study in OHIF in a headless Chromium and does what a reader does; what it saw, as JSON on standard output.
//
//     node browser.mjs '{"viewer": folder, "pacs": URL, "credentials": "name:password" or "token", "study": UID, "slices": number,
//                        "chromium": path, "pictures": folder, "instance": Instance Number to show,
//                        "segmentation": series description, if any, "report": series description, if any,
//                        "listed": whether to look at the list of studies}'
//
// The viewer's files and the PACS's DICOMweb have one origin here, as behind a hospital's reverse proxy.
import { createReadStream, existsSync, statSync } from 'node:fs';
import { createServer, request as forward } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { chromium } from 'playwright-core';

const asked = JSON.parse(process.argv[2]);
const TYPES = { '.js': 'text/javascript', '.css': 'text/css', '.html': 'text/html', '.wasm': 'application/wasm',
  '.svg': 'image/svg+xml', '.json': 'application/json', '.png': 'image/png' };
const CONFIGURATION = `window.config = { routerBasename: null, extensions: [], modes: [], showStudyList: true,
  investigationalUseDialog: { option: 'never' }, defaultDataSourceName: 'pacs',
  dataSources: [{ namespace: '@ohif/extension-default.dataSourcesModule.dicomweb', sourceName: 'pacs',
    configuration: { friendlyName: 'PACS', name: 'pacs', wadoUriRoot: '/wado', qidoRoot: '/dicom-web',
      wadoRoot: '/dicom-web', qidoSupportsIncludeField: true, imageRendering: 'wadors', thumbnailRendering: 'wadors',
      enableStudyLazyLoad: true, supportsWildcard: true, omitQuotationForMultipartRequest: true,
      bulkDataURI: { enabled: true, relativeResolution: 'studies' } } }] };`;

const server = createServer(serve).listen(0, '127.0.0.1');
await new Promise(listening => server.once('listening', listening));
const origin = `http://127.0.0.1:${server.address().port}`;
const browser = await chromium.launch({
  executablePath: asked.chromium,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'],
});
const seen = { errors: [] };
try {
  if (asked.listed) await list();
  if (asked.segmentation) await segmentation();
  if (asked.report) await measurements();
} finally {
  await browser.close();
  server.close();
}
process.stdout.write(JSON.stringify(seen));

function serve(request, response) {
  const path = new URL(request.url, 'http://localhost').pathname;
  if (path.startsWith('/dicom-web') || path.startsWith('/wado')) return proxy(request, response);
  response.setHeader('Cross-Origin-Opener-Policy', 'same-origin');
  response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp');
  if (path === '/app-config.js') {
    response.setHeader('Content-Type', 'text/javascript');
    return response.end(CONFIGURATION);
  }
  const file = join(asked.viewer, normalize(path));
  const found = existsSync(file) && statSync(file).isFile() ? file : join(asked.viewer, 'index.html');
  response.setHeader('Content-Type', TYPES[extname(found)] ?? 'application/octet-stream');
  return createReadStream(found).pipe(response);
}

// The Host header goes along: Orthanc builds the addresses of bulk data from it.
function proxy(request, response) {
  const target = new URL(request.url, asked.pacs);
  const headers = { ...request.headers };
  if (asked.credentials) headers.authorization = `Basic ${btoa(asked.credentials)}`;
  if (asked.token) headers.authorization = `Bearer ${asked.token}`;
  const onward = forward(target, { method: request.method, headers }, answer => {
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
  });
  onward.on('error', () => response.writeHead(502).end());
  request.pipe(onward);
}

async function opened(mode) {
  const page = await browser.newPage({ viewport: { width: 1400, height: 850 } });
  page.on('pageerror', error => seen.errors.push(`${mode}: ${error.message}`));
  await page.goto(`${origin}/${mode}?StudyInstanceUIDs=${asked.study}`);
  await page.locator('[data-cy="viewport-pane"] canvas').first().waitFor({ timeout: 60000 });
  while (!(await number(page)).includes(`1/${asked.slices}`)) await page.waitForTimeout(200);
  await page.getByText('Skip all', { exact: true }).click({ timeout: 5000 }).catch(() => {}); // the tour, not always there
  return page;
}

// The list of studies, as its rows read.
async function list() {
  const page = await browser.newPage({ viewport: { width: 1400, height: 850 } });
  page.on('pageerror', error => seen.errors.push(`list: ${error.message}`));
  await page.goto(origin);
  const found = page.locator('tbody tr').filter({ hasText: /\d/ });
  await found.first().waitFor({ timeout: 60000 });
  seen.listed = await found.allInnerTexts();
  await page.screenshot({ path: join(asked.pictures, 'ohif-list.png') });
  await page.close();
}

async function segmentation() {
  const page = await opened('segmentation');
  seen.series = await page.locator('[data-cy^="study-browser-thumbnail"]').allInnerTexts();
  await load(page, asked.segmentation);
  await page.locator('[data-cy="data-row"]').first().waitFor();
  const pane = await page.locator('[data-cy="viewport-pane"] canvas').first().boundingBox();
  await page.mouse.move(pane.x + pane.width / 2, pane.y + pane.height / 2);
  for (let step = 0; step < asked.slices && !(await number(page)).startsWith(`I:${asked.instance} `); step++) {
    await page.mouse.wheel(0, 100);
    await page.waitForTimeout(100);
  }
  await page.mouse.move(pane.x + 60, pane.y + 150); // away from what explains itself when pointed at
  await page.waitForTimeout(1500);
  seen.segmentation = { segments: await rows(page), pane, number: await number(page), errors: await complaints(page) };
  await page.screenshot({ path: join(asked.pictures, 'ohif-seg.png') });
  await page.close();
}

async function measurements() {
  const page = await opened('viewer');
  await load(page, asked.report);
  await page.locator('[data-cy="trackedMeasurements-btn"]').click();
  await page.locator('[data-cy="data-row"]').first().waitFor();
  await page.waitForTimeout(3000);
  const pane = await page.locator('[data-cy="viewport-pane"] canvas').first().boundingBox();
  const text = await page.locator('body').innerText();
  seen.measurements = { rows: await rows(page), text, pane, number: await number(page), errors: await complaints(page) };
  await page.screenshot({ path: join(asked.pictures, 'ohif-measurements.png') });
  await page.close();
}

// Opens a result as a reader does, and agrees to take it over.
async function load(page, description) {
  const thumbnail = page.locator('[data-cy="study-browser-thumbnail-no-image"]').filter({ hasText: description });
  await thumbnail.dblclick();
  await page.getByRole('button', { name: 'Yes' }).first().click({ timeout: 30000 });
}

async function rows(page) {
  return page.locator('[data-cy="data-row"]').allInnerTexts();
}

// "I:23 (18/40)": the Instance Number, and the place in OHIF's order.
async function number(page) {
  const text = await page.locator('[data-cy="viewport-overlay-bottom-right"]').first().innerText();
  return text.replace(/\s+/g, ' ').replace('I: ', 'I:').trim();
}

async function complaints(page) {
  return page.locator('[data-sonner-toast][data-type="error"], [role="alertdialog"]').allInnerTexts();
}
