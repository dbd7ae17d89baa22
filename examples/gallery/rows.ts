// The programs of the gallery, in the order of docs/gallery.md: one row each. The script that runs them, the tests and the table in
// the README walk this list.

export interface GalleryRow {
  /** `examples/PROGRAM.ts`, with its test in `test/gallery/PROGRAM.test.ts`. */
  readonly program: string;
  readonly title: string;
  /** A sentence or two: what the picture and the figures show. */
  readonly shows: string;
}

export const galleryRows: readonly GalleryRow[] = [
  {
    program: 'optimizer-paths',
    title: 'Optimizers and learning-rate schedules',
    shows:
      'Momentum, adaptive methods and schedules on one surface, Rosenbrock’s valley: their paths and the loss by ' +
      'step. All are updates of one compiled function.',
  },
  {
    program: 'convolutions',
    title: 'Convolutions over signals and voxels',
    shows:
      'Valid, same, strided, dilated and transposed convolutions over one axis and over three, in numbers worked by hand; a network ' +
      'of each kind learns to tell noisy waveforms, and noisy solids, apart.',
  },
  {
    program: 'alexnet',
    title: 'AlexNet at full size',
    shows:
      'The layer table of the network of 2012, its parameters and its work, and a training step whose memory is what it keeps and a ' +
      'few times the activations of its images: gradients of the dense layers are never in memory whole.',
  },
  {
    program: 'hyper-parameter-search',
    title: 'Hyper-parameter search',
    shows:
      'Grid, random, evolutionary and Bayesian search for five hyper-parameters of one network on handwritten digits: the best ' +
      'validation loss by trial, and where each looked. Trials run in worker processes.',
  },
  {
    program: 'autoencoder',
    title: 'Autoencoders',
    shows:
      'Digits by two latent numbers; noise removed by an autoencoder that was trained with noise and left in by one that was not; a ' +
      'sparse one with more units than pixels; zeros told by the error of their reconstruction, by one that never saw a zero.',
  },
  {
    program: 'variational-autoencoder',
    title: 'A variational autoencoder',
    shows:
      'The evidence lower bound against the evidence as importance sampling estimates it; a walk over two latent numbers, and digits ' +
      'drawn from eight. Its noise comes from a key and the number of the step, so that a run is the same on every target.',
  },
  {
    program: 'latent-arithmetic',
    title: 'Latent interpolation and vector arithmetic',
    shows:
      'Lines between the codes of two digits, beside lines between their pixels; and a digit less the mean code of its kind plus that ' +
      'of another, which is a digit of the other kind in the same hand.',
  },
  {
    program: 'generative-adversarial',
    title: 'Generative adversarial networks',
    shows:
      'Points of a ring of eight bells, drawn with the non-saturating loss and with Wasserstein’s and a penalty on the critic’s ' +
      'gradient, a derivative within a training step. Real points, noise and both optimizers are one program without inputs.',
  },
  {
    program: 'convolutional-gan',
    title: 'Digits by convolutional adversaries',
    shows:
      'A DCGAN, and a critic of Wasserstein’s distance whose step has derivatives of the derivatives of convolutions and layer ' +
      'normalisation, draw digits; a network that reads digits tells how near they come to real ones.',
  },
  {
    program: 'regularization',
    title: 'Dropout, batch norm, weight decay, early stopping',
    shows:
      'A task built to overfit, 200 digits of which a fifth have wrong labels: the loss on digits held out, with and without each ' +
      'method, and what each does to the loss that is trained.',
  },
  {
    program: 'debugging',
    title: 'Why a network does not learn',
    shows:
      'A gradient check, dead units, overfitting one batch, and the statistics of activations and gradients: each finds a fault ' +
      'that was planted in a network, and none in the same network without it.',
  },
  {
    program: 'gpt',
    title: 'A small GPT',
    shows:
      'Attention written for one head and one text, and two vmaps: four heads, two blocks, a batch. It says a poem on by heart, with a ' +
      'cache of keys and values that gives the logits of reading all at once; and what its heads see.',
  },
  {
    program: 'neural-programmer',
    title: 'Programs by soft attention',
    shows:
      'Each step selects an operation and its operands by attention. A table of programs is learned from examples alone, each from 128 ' +
      'random starts under one vmap, and read out as formulas that are right far outside of the examples.',
  },
  {
    program: 'linear-regions',
    title: 'Linear regions of relu networks',
    shows:
      'The regions in which a relu network is linear, counted exactly and drawn: sixteen units in one layer reach the bound of one ' +
      'layer, in four folding layers five times as many, as published; random networks have far fewer.',
  },
  {
    program: 'random-projection',
    title: 'Random projection',
    shows:
      'A matrix of normal numbers takes points from 4096 dimensions to few, and keeps their distances as Johnson and Lindenstrauss ' +
      'promise.',
  },
  {
    program: 'recurrent',
    title: 'Recurrent networks',
    shows:
      'A basic network, an LSTM by the equations of the lectures and a GRU: two of sixty numbers added, which the basic one does not ' +
      'learn, and a sonnet learned by heart and said on from its first words, one character at a time.',
  },
  {
    program: 'seeing',
    title: 'What a convolutional network sees',
    shows:
      'Filters of the first layer, what they make of a digit, the pixels on which the answer depends, and images whose features in ' +
      'each layer are those of the digits: the deeper the layer, the less is left of them.',
  },
  {
    program: 'neural-turing-machine',
    title: 'A neural Turing machine',
    shows:
      'The copy task: what a network with a memory learned on sequences of up to eight rows it does for twenty. The picture has where ' +
      'its heads were: it writes one place after another, and reads them in that order.',
  },
  {
    program: 'adaptive-computation',
    title: 'Adaptive computation time',
    shows:
      'A network that decides itself how many steps to think, at a price for each: it adds the numbers of a list, of which it sees one ' +
      'in a step, and its steps grow with the length of the list.',
  },
];
