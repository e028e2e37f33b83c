import type { ColourNoise } from '../../lib/data/colour.js';

/** Along axes much like those of photos. */
export function colourNoise(kind: ColourNoise['kind']): ColourNoise {
  return {
    kind,
    axes: {
      values: [0.2, 0.02, 0.005],
      vectors: [
        [0.6, 0.6, 0.5],
        [0.7, 0, -0.7],
        [0.4, -0.8, 0.4],
      ],
    },
  };
}
