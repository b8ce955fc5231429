/* The numbers of math64_body.h, made by tools/math64.py: polynomials, their coefficients from
 * the highest on, with the largest relative error that is left after rounding these. */
#ifndef CR_KERNEL_MATH64_TABLES_H
#define CR_KERNEL_MATH64_TABLES_H

#include <stdint.h>

/* (e^r - 1 - r)/r^2, |r| <= 0.3475: 2^-57.8 */
static const double math_exp[] = {
    0x1.1f737d09fa334p-29, 0x1.af4f1ddf981a8p-26, 0x1.27e4db33afd48p-22,
    0x1.71de019d031e7p-19, 0x1.a01a01a6e1e9fp-16, 0x1.a01a01ac16f76p-13,
    0x1.6c16c16c162dep-10, 0x1.1111111110085p-7,  0x1.5555555555556p-5,
    0x1.5555555555557p-3,  0x1.0000000000000p-1,
};
/* (2 atanh(s)/s - 2 - 2/3 z)/z^2, z = s^2 <= 0.02945: 2^-54.0 */
static const double math_log[] = {
    0x1.b8d8d85df16d4p-4, 0x1.ac4a06861007ep-4, 0x1.e1f80051308a9p-4,
    0x1.1110df9bb8638p-3, 0x1.3b13b1bcae526p-3, 0x1.745d174512f5ep-3,
    0x1.c71c71c71cfdep-3, 0x1.2492492492491p-2, 0x1.999999999999ap-2,
};
/* (sin r - r)/r^3, z = r^2 <= 0.6169: 2^-54.0 */
static const double math_sin[] = {
    -0x1.ab17c21ac7a48p-41, 0x1.61217eed1bd54p-33,  -0x1.ae6454129f073p-26,
    0x1.71de3a54607fap-19,  -0x1.a01a01a019937p-13, 0x1.1111111111110p-7,
    -0x1.5555555555555p-3,
};
/* (cos r - 1 + z/2)/z^2, z = r^2 <= 0.6169: 2^-54.0 */
static const double math_cos[] = {
    0x1.ab784b110daa5p-45,  -0x1.9394b9f1cde62p-37, 0x1.1eed8deb869adp-29,
    -0x1.27e4fb7712cc8p-22, 0x1.a01a01a019d0ap-16,  -0x1.6c16c16c16c16p-10,
    0x1.5555555555555p-5,
};
/* (atan t - t)/t^3, z = t^2 <= 0.0040: 2^-54.0 */
static const double math_atan[] = {
    0x1.37d25a4b04a3cp-4,  -0x1.74595951351dfp-4, 0x1.c71c6fcafb4e4p-4,
    -0x1.2492492455579p-3, 0x1.9999999999944p-3,  -0x1.5555555555555p-2,
};
/* erf(x)/x, z = x^2 <= 1: 2^-55.0 */
static const double math_erf[] = {
    0x1.3c01fd37f1765p-42,  -0x1.b40e7abe7b8dep-38, 0x1.9a0fcb5de78a4p-34,
    -0x1.517ce02f0b465p-30, 0x1.fcbb312b4723ap-27,  -0x1.5f73c3bf14a95p-23,
    0x1.b9e6c38e5cf2ap-20,  -0x1.f4d25bf9af039p-17, 0x1.f9a326f7ac5b1p-14,
    -0x1.c02db40035f1ep-11, 0x1.565bcd0e6a2eep-8,   -0x1.b82ce31288b47p-6,
    0x1.ce2f21a042be2p-4,   -0x1.812746b0379e7p-2,  0x1.20dd750429b6dp+0,
};
/* (f - f(0))/w, f = (a + 3) e^(a^2) erfc(a), w = (a - 3)/(a + 3), 0 <= a <= 29: 2^-54.4 */
static const double math_erfcx[] = {
    0x1.ae7cee89781fdp-32,  0x1.2ff63aa3e33f4p-30,  -0x1.1382559f6e211p-29,
    -0x1.58ed895b682e2p-27, 0x1.27ebf4e37199bp-30,  0x1.cedb48b803009p-25,
    0x1.76f207ce8b0fbp-25,  -0x1.fce9c3eb6a948p-23, -0x1.b4174e8237082p-22,
    0x1.0cbc07ff0d2cap-20,  0x1.730ab8c59363ap-19,  -0x1.3ec6c0662a5f3p-18,
    -0x1.251a39eafa17cp-16, 0x1.fe0028a054df1p-16,  0x1.c325334253145p-14,
    -0x1.2238ff9252c73p-12, -0x1.1f78e1497cbd2p-11, 0x1.8dae3a2c747d8p-9,
    -0x1.3dd3e70faa136p-10, -0x1.b78993d6bbf83p-6,  0x1.e995f11b16dfap-4,
    -0x1.3deb21415dc74p-2,  0x1.2e326945de2b8p-1,   -0x1.c44c471baa376p-1,
};
/* lgamma(2 + t)/t, -3/4 <= t <= 1/2: 2^-54.7 */
static const double math_lgamma[] = {
    -0x1.54dbe5bddb045p-25, -0x1.0e95d7eef3df6p-25, -0x1.534da987b9e68p-29,
    0x1.b740faf5996cep-24,  -0x1.94b869176bb9bp-24, 0x1.89961b02049f1p-23,
    -0x1.ec5e300766236p-22, 0x1.029cd8cc2ec09p-20,  -0x1.11318fc0858b8p-19,
    0x1.257f6559ccb9ap-18,  -0x1.3cc385a8b2155p-17, 0x1.580e6fdb05720p-16,
    -0x1.78de2374e9d04p-15, 0x1.a127ae73ddd88p-14,  -0x1.d3fd4d898d79cp-13,
    0x1.0b36af89061a2p-11,  -0x1.38ac5c2a7a03fp-10, 0x1.7add6eadb36ddp-9,
    -0x1.e404fc21917d7p-8,  0x1.51322ac7d8494p-6,   -0x1.13e001a557602p-4,
    0x1.4a34cc4a60fa6p-2,   0x1.b0ee6072093cep-2,
};
/* (lgamma x - (x - 1/2) ln x + x - ln(2 pi)/2) x, u = x^-2 <= 1/64: 2^-54.0 */
static const double math_stirling[] = {
    -0x1.55b3a69f41fdbp-6, 0x1.96db404425ca5p-8,   -0x1.f5ff2fda221f6p-10,
    0x1.b94f6d658153cp-11, -0x1.38137ec06ff8ep-11, 0x1.a01a019ee0dbcp-11,
    -0x1.6c16c16c16b29p-9, 0x1.5555555555555p-4,
};
/* digamma(3/2 + t)/(3/2 + t - root), |t| <= 1/2: 2^-54.3 */
static const double math_digamma[] = {
    -0x1.5600aebc07538p-14, 0x1.0080971c5617fp-13,  -0x1.0081238b97022p-14,
    0x1.80c273fb322c5p-14,  -0x1.c8e71b670fd14p-13, 0x1.56ae8897d5d3dp-12,
    -0x1.e24e3f4fdc1dcp-12, 0x1.69be71d89ad40p-11,  -0x1.1138fd323dc0cp-10,
    0x1.99e14548a2d9bp-10,  -0x1.335166d938f39p-9,  0x1.cd1f2dbc0dbedp-9,
    -0x1.5a07ffdcf1525p-8,  0x1.03c0b29031197p-7,   -0x1.8635595c28480p-7,
    0x1.256471573c163p-6,   -0x1.b9f8b14eb372ep-6,  0x1.4de9aa17fed5cp-5,
    -0x1.fb4420299c39ep-5,  0x1.8512e59037f3fp-4,   -0x1.2feeeb98a7e14p-3,
    0x1.eca189b8e6f7bp-3,   -0x1.b1cb63005ee96p-2,  0x1.e6f0cbb873616p-1,
};
/* (ln x - 1/(2x) - digamma x) x^2, u = x^-2 <= 1/64: 2^-54.0 */
static const double math_digamma_far[] = {
    0x1.c5b8532ecb742p+0,  -0x1.a43dc89a5ead5p-2, 0x1.5356fbc1b554dp-4,
    -0x1.59837b49d85eap-6, 0x1.f07bbcef70fd0p-8,  -0x1.111110c5db8ccp-8,
    0x1.04104103f3356p-8,  -0x1.11111111110eep-7, 0x1.5555555555555p-4,
};
/* erfinv(x)/x, z = x^2 <= 0.475: 2^-54.2 */
static const double math_erfinv[] = {
    0x1.acc2335d94a25p+1,  -0x1.8d47371765b32p+3, 0x1.600f376fa86b2p+4,
    -0x1.82b6a7f20b4f0p+4, 0x1.2650f776e0d95p+4,  -0x1.45626276e9592p+3,
    0x1.10d39ea20f067p+2,  -0x1.54e3eabf94582p+0, 0x1.6b478f53ac6d6p-2,
    -0x1.37089c7d0eba6p-5, 0x1.306cabf6fdbcap-5,  0x1.f685407e8848bp-6,
    0x1.2b6b69d395293p-5,  0x1.5ee070f9fe5c3p-5,  0x1.a7c8d045225a8p-5,
    0x1.0a1316fbdb3bfp-4,  0x1.62847c4f01659p-4,  0x1.053c2c0ab0d8ap-3,
    0x1.db29fb2fee65dp-3,  0x1.c5bf891b4ef6bp-1,
};
/* erfinv(x)/s, s = sqrt(-ln(1 - x)), in s - 1.5, s - 2.75 and s - 4.75: 2^-53.3 */
static const double math_erfinv_far[] = {
    -0x1.062142eda1a4dp-20, -0x1.8db1538df3022p-35, -0x1.22c8964adecbbp-49,
    0x1.647b25543a4edp-22,  0x1.dafca59dcb18ap-33,  0x1.4de0a5532eca4p-48,
    0x1.c8aa79bb1372dp-19,  -0x1.87de56bc1fec1p-31, 0x1.bb316b191ce0ep-46,
    -0x1.1cd17da037585p-17, 0x1.3a90f2c5ccb9fp-29,  -0x1.f8915add0cc25p-43,
    0x1.fc6f3f8d54816p-17,  -0x1.d9965ebbea9cep-28, 0x1.b3cfb39bb802ap-40,
    -0x1.6fa45844c55a0p-16, 0x1.42704a6873275p-26,  -0x1.6cd2341617095p-37,
    0x1.41f47b4720b59p-16,  -0x1.836e409a823adp-25, 0x1.1bd3a9ada9cc0p-34,
    0x1.da103613dd9b9p-17,  0x1.76010a5ea188bp-24,  -0x1.a23568c725197p-32,
    -0x1.de2799ed5571cp-14, -0x1.567acdab84e01p-24, 0x1.28d7c950d2b0ap-29,
    0x1.5693b25bccf50p-12,  -0x1.9e5a9c02faddep-22, -0x1.990b75231e6d6p-27,
    -0x1.62a876ed73677p-11, 0x1.a8da68e3df7b5p-19,  0x1.12af97da2787cp-24,
    0x1.1885fe9d92469p-10,  -0x1.04d25ab2da41ep-16, -0x1.6867cde8cf1b9p-22,
    -0x1.1b89096847cd6p-10, 0x1.0b1c31e99c41cp-14,  0x1.ce5fcf38064f4p-20,
    -0x1.e0a714b1c8ca4p-12, -0x1.ed589e23fea08p-13, -0x1.21e10b8048b59p-17,
    0x1.90fe2c9c393e7p-8,   0x1.a6f8321996bebp-11,  0x1.6284275513cdap-15,
    -0x1.52ae2de136df6p-6,  -0x1.5472c5840748cp-9,  -0x1.a508c4ff882e6p-13,
    0x1.a595110cda827p-5,   0x1.015fe57403f4fp-7,   0x1.e16c595c28078p-11,
    -0x1.b3f7fb05364d0p-4,  -0x1.693b8f7ebb17ep-6,  -0x1.04569f3693c8dp-8,
    0x1.79236a7b16f61p-3,   0x1.c5192dcc4f425p-5,   0x1.fe58efd2bc133p-7,
    0x1.86d0763eb4b45p-1,   0x1.c8e316a7c5a1fp-1,   0x1.e7891e502613cp-1,
};
/* the angles whose tangents are eighths, from place 16 on their rests */
static const double math_eighths[] = {
    0x0.0p+0,
    0x1.fd5ba9aac2f6ep-4,
    0x1.f5b75f92c80ddp-3,
    0x1.6f61941e4def1p-2,
    0x1.dac670561bb4fp-2,
    0x1.1e00babdefeb4p-1,
    0x1.4978fa3269ee1p-1,
    0x1.700a7c5784634p-1,
    0x1.921fb54442d18p-1,
    0x0.0p+0,
    0x0.0p+0,
    0x0.0p+0,
    0x0.0p+0,
    0x0.0p+0,
    0x0.0p+0,
    0x0.0p+0,
    0x0.0p+0,
    -0x1.cd37686760c17p-59,
    0x1.8ab6e3cf7afbdp-57,
    -0x1.c63aae6f6e918p-56,
    0x1.a2b7f222f65e2p-56,
    -0x1.928df287a668fp-58,
    0x1.2419a87f2a458p-56,
    -0x1.8c34d25aadef6p-56,
    0x1.1a62633145c07p-55,
    0x0.0p+0,
    0x0.0p+0,
    0x0.0p+0,
    0x0.0p+0,
    0x0.0p+0,
    0x0.0p+0,
    0x0.0p+0,
};
/* B_2k/(2k)!, k = 1, 2, .. */
static const double math_bernoulli[] = {
    0x1.5555555555555p-4,   -0x1.6c16c16c16c17p-10, 0x1.1566abc011567p-15,
    -0x1.bbd779334ef0bp-21, 0x1.66a8f2bf70ebep-26,  -0x1.22805d644267fp-31,
    0x1.d6db2c4e09162p-37,  -0x1.7da4e1f79955cp-42, 0x1.355871d652e9ep-47,
    -0x1.f57d968caacf1p-53,
};
/* 2/pi, 32 bits a word */
static const uint32_t math_two_over_pi[] = {
    0xa2f9836e, 0x4e441529, 0xfc2757d1, 0xf534ddc0, 0xdb629599, 0x3c439041, 0xfe5163ab,
    0xdebbc561, 0xb7246e3a, 0x424dd2e0, 0x06492eea, 0x09d1921c, 0xfe1deb1c, 0xb129a73e,
    0xe88235f5, 0x2ebb4484, 0xe99c7026, 0xb45f7e41, 0x3991d639, 0x835339f4, 0x9c845f8b,
    0xbdf9283b, 0x1ff897ff, 0xde05980f, 0xef2f118b, 0x5a0a6d1f, 0x6d367ecf, 0x27cb09b7,
    0x4f463f66, 0x9e5fea2d, 0x7527bac7, 0xebe5f17b, 0x3d0739f7, 0x8a5292ea, 0x6bfb5fb1,
    0x1f8d5d08, 0x56033046, 0xfc7b6bab, 0xf0cfbc20, 0x9af4361d, 0xa9e39161, 0x5ee61b08,
};

#endif
