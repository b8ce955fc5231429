/* The numbers of math64_body.h, made by tools/math64.py: polynomials, their coefficients from
 * the highest on, with the largest relative error that is left after rounding these. */
#ifndef CR_KERNEL_MATH64_TABLES_H
#define CR_KERNEL_MATH64_TABLES_H

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
/* (a + 3) e^(a^2) erfc(a), w = (a - 3)/(a + 3), 0 <= a <= 29: 2^-52.9 */
static const double math_erfcx[] = {
    0x1.99fb8c21056a6p-32,  0x1.2788d7db50d97p-30,  -0x1.0a1aa405a1e12p-29,
    -0x1.54a5d2634879bp-27, 0x1.09d3a6e9001bap-30,  0x1.ccf235b5859a1p-25,
    0x1.77d07eae892f5p-25,  -0x1.fc6bead925eb3p-23, -0x1.b427fd6f104f4p-22,
    0x1.0cb1beb341c45p-20,  0x1.730b985025ef0p-19,  -0x1.3ec5a473c8d7ap-18,
    -0x1.251a4281be46ep-16, 0x1.fe0014557846fp-16,  0x1.c32533c04f049p-14,
    -0x1.2238ff5621e83p-12, -0x1.1f78e14c1070ap-11, 0x1.8dae3a2b98a24p-9,
    -0x1.3dd3e70f8773bp-10, -0x1.b78993d6ba37dp-6,  0x1.e995f11b16d7dp-4,
    -0x1.3deb21415dc81p-2,  0x1.2e326945de2b8p-1,   -0x1.c44c471baa376p-1,
    0x1.12f21ddd9f5e2p+0,
};
/* lgamma(2 + t)/t, |t| <= 1/2: 2^-55.2 */
static const double math_lgamma[] = {
    -0x1.07a2436b7b36ep-25, 0x1.15fea8732cd9fp-24,  -0x1.9b78edc7fabbcp-24,
    0x1.b1a8c8bf04f15p-23,  -0x1.e3ed52490e435p-22, 0x1.01462b5944f7dp-20,
    -0x1.11a9afb059e6fp-19, 0x1.258c9651dbedcp-18,  -0x1.3cbcd8fbe840ap-17,
    0x1.580e260121a51p-16,  -0x1.78de5abf176aep-15, 0x1.a127af44aaf71p-14,
    -0x1.d3fd4c7914476p-13, 0x1.0b36af88b2884p-11,  -0x1.38ac5c2bf8af6p-10,
    0x1.7add6eadb2c11p-9,   -0x1.e404fc218f5c1p-8,  0x1.51322ac7d849bp-6,
    -0x1.13e001a557607p-4,  0x1.4a34cc4a60fa6p-2,   0x1.b0ee6072093cep-2,
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
/* erfinv(x)/x, z = x^2 <= 0.5: 2^-54.3 */
static const double math_erfinv[] = {
    0x1.095d6675fa627p+3,  -0x1.27fcf8240d2f8p+5, 0x1.39df3f8a32d14p+6,
    -0x1.9f6670017bc30p+6, 0x1.7f0d1915495cdp+6,  -0x1.041a0990cd422p+6,
    0x1.0d426a34e6db8p+5,  -0x1.afdad9c94d4f9p+3, 0x1.120ed2c316c7cp+2,
    -0x1.0a9ada18482e8p+0, 0x1.da4fa59d41103p-3,  -0x1.e08ad13152a27p-8,
    0x1.053a4969edca8p-5,  0x1.009efa5a49593p-5,  0x1.2af00700d7173p-5,
    0x1.5ee85ce00df44p-5,  0x1.a7c876262533ap-5,  0x1.0a13184cec898p-4,
    0x1.62847c490b9c6p-4,  0x1.053c2c0ab7ed0p-3,  0x1.db29fb2fee5f3p-3,
    0x1.c5bf891b4ef6bp-1,
};

#endif
