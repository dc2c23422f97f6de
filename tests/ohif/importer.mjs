// What OHIF's own importer (@cornerstonejs/adapters) makes of a Segmentation or of a report, as JSON on standard output.
//
//     node importer.mjs SEG|SR RESULT SOURCE...
//
// SEG: {segments: {number: label}, voxels: {number: {source index: [pixel index, ...]}}}
// SR: [{tool, trackingUid, source, frame, label, points (LPS millimetres), stats}]
import { readFileSync } from 'node:fs';
import dcmjs from 'dcmjs';
import { metaData } from '@cornerstonejs/core';
import { adaptersSEG, adaptersSR } from '@cornerstonejs/adapters';

// The libraries chat on the console; standard output is for the answer.
for (const name of ['log', 'info', 'warn', 'debug']) console[name] = console.error;
dcmjs.log.setLevel('silent');

const [kind, resultPath, ...sourcePaths] = process.argv.slice(2);
const images = sourcePaths.map((path, index) => {
  const instance = naturalized(path);
  return { imageId: `test:${index}`, index, instance };
});
const byId = new Map(images.map(image => [image.imageId, image]));
metaData.addProvider((type, imageId) => (byId.has(imageId) ? module(type, byId.get(imageId).instance) : undefined), 1000);

const answer = kind === 'SEG' ? await segmentation() : report();
process.stdout.write(JSON.stringify(answer));

function bytes(path) {
  const content = readFileSync(path);
  return content.buffer.slice(content.byteOffset, content.byteOffset + content.byteLength);
}

function naturalized(path) {
  const file = dcmjs.data.DicomMessage.readFile(bytes(path));
  const dataset = dcmjs.data.DicomMetaDictionary.naturalizeDataset(file.dict);
  dataset._meta = dcmjs.data.DicomMetaDictionary.namifyDataset(file.meta);
  return dataset;
}

// As OHIF's metadata provider answers for a single-frame image.
function module(type, instance) {
  const [rowPixelSpacing, columnPixelSpacing] = instance.PixelSpacing.map(Number);
  const orientation = instance.ImageOrientationPatient.map(Number);
  const answers = {
    instance,
    sopCommonModule: { sopClassUID: instance.SOPClassUID, sopInstanceUID: instance.SOPInstanceUID },
    generalSeriesModule: { seriesInstanceUID: instance.SeriesInstanceUID, modality: instance.Modality },
    generalImageModule: { sopInstanceUID: instance.SOPInstanceUID, instanceNumber: instance.InstanceNumber },
    imagePlaneModule: {
      frameOfReferenceUID: instance.FrameOfReferenceUID,
      rows: instance.Rows,
      columns: instance.Columns,
      imageOrientationPatient: orientation,
      rowCosines: orientation.slice(0, 3),
      columnCosines: orientation.slice(3),
      imagePositionPatient: instance.ImagePositionPatient.map(Number),
      pixelSpacing: [rowPixelSpacing, columnPixelSpacing],
      rowPixelSpacing,
      columnPixelSpacing,
      sliceThickness: Number(instance.SliceThickness),
    },
    imagePixelModule: { rows: instance.Rows, columns: instance.Columns, samplesPerPixel: 1, bitsAllocated: 16 },
  };
  return answers[type];
}

async function segmentation() {
  const { Segmentation } = adaptersSEG.Cornerstone3D;
  const read = await Segmentation.createFromDICOMSegBuffer(images.map(image => image.imageId), bytes(resultPath), {
    metadataProvider: metaData,
  });
  const voxels = {};
  // Overlapping segments come as several layers of label maps.
  for (const layer of read.labelMapImages) {
    for (const labelMap of layer) {
      const source = byId.get(labelMap.referencedImageId).index;
      labelMap.getPixelData().forEach((label, pixel) => {
        if (label) ((voxels[label] ??= {})[source] ??= []).push(pixel);
      });
    }
  }
  const described = read.segMetadata.data.filter(Boolean);
  const segments = Object.fromEntries(described.map(each => [each.SegmentNumber, each.SegmentLabel]));
  return { segments, voxels };
}

function report() {
  const ids = Object.fromEntries(images.map(image => [`${image.instance.SOPInstanceUID}:1`, image.imageId]));
  const { MeasurementReport } = adaptersSR.Cornerstone3D;
  const read = MeasurementReport.generateToolState(naturalized(resultPath), ids, metaData, {});
  return Object.entries(read).flatMap(([tool, measurements]) => measurements.map(each => {
    const { data, metadata } = each.annotation;
    return {
      tool,
      trackingUid: each.TrackingUniqueIdentifier,
      source: byId.get(metadata.referencedImageId).index,
      frame: data.frameNumber,
      label: data.label,
      points: data.contour?.polyline ?? data.handles.points,
      stats: data.cachedStats[`imageId:${metadata.referencedImageId}`] ?? {},
    };
  }));
}
