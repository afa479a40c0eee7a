// Unicode 16.0.0, written by scripts/make_unicode_tables. Not to be changed by hand.
#include "text/unicode_tables.h"

namespace quire {
namespace {

// A letter for the category, "a" being the first, and the length of each run, unless it is 1.
constexpr std::string_view kCategories =
    "A32xs3us3opstsns2j10s2t3s2b26ospvmvc26otptA33xsu4wsvwfqtBwvwtl2vcs2vlfrl3sb23tb7c24tc8bcbcbcbcbcbcbc"
    "bcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbc2bcbcbcbcbcbcbcbc2bcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbc"
    "bcbcbcb2cbcbc3b2cbcb2cb3c2b4cb2cb3c3b2cb2cbcbcb2cbc2bcb2cb3cbcb2c2fbc3f4bdcbdcbdcbcbcbcbcbcbcbcbc2bc"
    "bcbcbcbcbcbcbcbc2bdcbcb3cbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbc7b2cb2c2bcb4cbcbc"
    "bcbc69fc27e18v4e12v14e5v7evev17g112bcbcevbca2ec3sba4v2bsb3abab2cb17ab9c35bc2b3c3bcbcbcbcbcbcbcbcbcbc"
    "bcbc5bctbcb2c2b51c48bcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcwg5i2bcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcb"
    "cbcbcbcbcbcbcb2cbcbcbcbcbcbc2bcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcb"
    "cbcbcbcbcbcbcbcbcbcbcbcbcab38a2es6c41sna2w2uag45ngsg2sg2sga8f27a4f4s2a11B6t3s2us2w2g11sBs3f32ef10g21"
    "j10s4f2gf99sfg7Bwg6e2g2wg4f2j10f3w2fs14aBfgf30g27a2f89g11fa14j10f33g9e2ws3ea2gu2f22g4eg9eg3eg5a2s15a"
    "f25g3a2saf11a5f24vf6aB2a5g9f41eg24Bg32hf54ghgfh3g8h4gh2fg7f10g2s2j10sef15gh2af8a2f2a2f22af7afa3f4a2g"
    "fh3g4a2h2a2h2gfa8ha4f2af3g2a2j10f2u2l6wufsga2g2haf6a4f2a2f22af7af2af2af2a2gah3g2a4g2a2g3a3ga7f4afa7"
    "j10g2f3gsa10g2haf9af3af22af7af2af5a2gfh3g5ag2hah2ga2fa15f2g2a2j10sua7fg6agh2af8a2f2a2f22af7af2af5a2g"
    "fhghg4a2h2a2h2ga7g2ha4f2af3g2a2j10wfl6a10gfaf6a3f3af4a3f2afaf2a3f2a3f3a3f12a4h2gh2a3h3ah3ga2fa6ha14"
    "j10l3w6uwa5gh3gf8af3af23af16a2gfg3h4ag3ag4a7g2af3a2fa2f2g2a2j10a7sl7wfgh2sf8af3af23af10af5a2gfhgh5ag"
    "h2ah2g2a7h2a6f2af2g2a2j10af2ha12g2h2f9af3af41g2fh3g4ah3ah3gfwa4f3hl7f3g2a2j10l9wf6agh2af18a3f24af9af"
    "a2f7a3ga4h3g3agah8a6j10a2h2sa12f48gf2g7a4uf6eg8sj10s2a37f2afaf5af24afaf10gf2g9fa2f5aeag7aj10a2f4a32f"
    "w3s15wsw3g2w6j10l10wgwgwgopoph2f8af36a4g14hg5sg2f5g11ag36aw8gw6aw2s5w4s2a37f43h2g4hg6hg2h2g2fj10s6f6"
    "h2g2f4g3fh3f2h7f3g4f13gh2g2h6gfhj10h3gw2b38aba5ba2c43sec3f329af4a2f7afaf4a2f41af4a2f33af4a2f7afaf4a2"
    "f15af57af4a2f67a2g3s9l20a3f16w10a6b86a2c6a2nf620wsf17xf26opa3f75s3k3f8a7f18g3ha9f19g2hs2a9f18g2a12"
    "f13af3ag2a12f52g2hg7h8gh2g11s3es3ufga2j10a6l10a6s6ns4g3Bgj10a6f35ef53a7f5g2f34gfa5f70a10f31ag3h4g2h3"
    "a4h2gh6g3a4wa3s2j10f30a2f5a11f44a4f26a6j10la3w34f23g2h2ga2s2f53hghg7aghgh2g8h6g10a2gj10a6j10a6s7es6"
    "a2g14ig16a49g4hf47ghg5hgh5gh2f8as2j10s7w10g9w9s3g2hf30hg4h2g2hg3f2j10f44ghg2h3ghg3h2a8s4f36h8g8h2g2"
    "a3s5j10a3f3j10f30e6s2c9bca5b43a2b3s8a8g3sg13hg7f4gf6gf2hg2fa5c44e63c13ec34e37g64bcbcbcbcbcbcbcbcbcbc"
    "bcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbc"
    "bcbcbcbcbcbcbcbcbcbcbcbcbcbcbc9bcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcb"
    "cbcbcbcbcbcbcbcbcbcbcbcbcbcbc9b8c6a2b6a2c8b8c8b8c6a2b6a2c8ababababc8b8c14a2c8d8c8d8c8d8c5ac2b4dvcv3"
    "c3ac2b4dv3c4a2c2b4av3c8b5v3a2c3ac2b4dv2ax11B5n6s2qroq2roqs8yzB5xs9qrs4m2s3tops11tsms10xB5aB10lea2l6"
    "t3opel10t3opae13a3u33a15g13i4gi3g12a15w2bw4bw2cb3c2b3cwbw2tb5w6bwbwbwb4wcb4cf4cw2c2b2t5bc4wtw2cwl16"
    "k35bck4lw2a4t5w5t2w4tw2tw2tw7tw31t2w2twtw31t268w8opopw20t2w7opw81tw30t25w40t6w72a22w11a21l60w78l22"
    "w183tw9tw54t8w111tw248opopopopopopopl30w44t5opt31opopopopopt16w256t131opopopopopopopopopopopt63opop"
    "t32opt258w48t21w2t6w39a2w32aw105b48c48bcb3c2bcbcbcb4cbc2bc6e2b3cbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbc"
    "bcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbc2w6bcbcg3bca5s4ls2c38aca5ca2f56a7esa14"
    "gf23a9f7af7af7af7af7af7af7af7ag32s2qrqrs3qrsqrs9ns2nsqrs2qropopopops5es10n2s4nsos13w2s3opopopopna34"
    "w26aw89a12w214a26w16xs3wefkopopopopopw2opopopopnop2wk9g4h2ne5w2k3efsw2af86a2g2v2e2fnf90se3fa5f43af94"
    "aw2l4w10f32w38a9wf16w31al10w30l8wl15w32l10w39l15w320f6592w64f21013ef1143a3w55a9f40e6s2f268es3f16j10"
    "f2a20bcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcfgi3sg10sebcbcbcbcbcbcbcbcbcbcbcbcbcbce2g2f70k10"
    "g2s6a8v23e9v2bcbcbcbcbcbcbc3bcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcec8bcbcb2c"
    "bcbcbcbcev2bcbcfbcbc3bcbcbcbcbcbcbcbcbcbcb5cb5cbcbcbcbcbcbcbcb4cbcb2ca2bcacacbcbcbcba21e3bcfe2cf7gf3"
    "gf4gf23h2g2hw4ga3l6w2uwa6f52s4a8h2f50h16g2a8s2j10a6g18f6s3fsf2gj10f28g8s2f23g11h2a11sf29a3g3hf47gh2"
    "g4h2g2h3s13aej10a4s2f5gef9j10f5af41g6h2g2h2g2a9f3gf8gha2j10a2s4f16ef6w3fhghf50gfg3f2g2f5g2fgfa24f2e"
    "s2f11hg2h2s2fe2hga10f6a2f6a2f6a9f7af7ac43ve4c9ev2a4c80f35h2gh2gh2shga2j10a6f11172a12f23a4f49a4C2048"
    "D6400f366a2f106a38c7a12c5a5fgf10tf13af5afaf2af2af108v17a16f363pow16f64a2f54a7wa32f12uw3g16s7opsa6g16"
    "sn2m2opopopopopopopops2ops4m3s3as4nopopops3tnt3asus2a4f5af135a2Bas3us3opstsns2j10s2t3s2b26ospvmvc26o"
    "tptopsops2f10ef45e2f31a3f6a2f6a2f6a2f3a3u2tvwu2awt4w2a10B3w2a2f12af26af19af2af15a2f14a34f123a5s3a4"
    "l45a3w9k53l4w17l2w3aw13a3wa47w45ga130f29a3f49a15gl27a4f32l4a9f20kf8ka5f38g5a5f30asf36a4f8sk5a42b40"
    "c40f78a2j10a6b36a4c36a4f40a8f52a11sb11ab15ab7ab2ac11ac15ac7ac2a3f52a12f311a9f22a10f8a24e6ae42ae9a69"
    "f6a2faf44af2a3fa2f23asl8f23w2l7f31a8l9a48f19af2a5l5f22l6a3sf26a5sa64f56a4l2f2l16a2l46fg3ag2a5g4f4af3"
    "af29a2g3a4gl9a7s9a7f29l2sf29l3a32f8wf28g2a4l5s7a9f54a3s7f22a2l8f19a5l8f18a7s4a12l7a80f73a55b51a13c51"
    "a7l6f36g4a8j10a6j10f4efb22a3g5nec22a8t2a208l31af42ag2na2f2a16f3a55g4f29l10fa8f22g11l4s5a22f18g4s4a38"
    "f21l7a20f23a9hghf53g15s7a4l20j10gf2g2fa9g3hf45h3g4h2g2s2Bs4ga10Ba2f25a7j10a6g3f36g5hg8aj10s4fh2fa8"
    "f35gs2fa9g2hf48h3g9h2f4s4g4shgj10fsfs3al20a11f18af25h3g3h2ghg2s6gf2ga62f7afaf4af15af10sa6f47gh3g8a5"
    "j10a6g2h2af8a2f2a2f22af7af2af5ag2fh2gh4a2h2a2h3a2fa6ha5f5h2a2g7a3g5a11f10afa2faf38afh3g6aha2hah4ah2g"
    "hgfgfs2as2a8g2a29f53h3g8h2g3hgf4s5j10s2asgf3a30f48h3g6hgh4g2hg2f2sfa8j10a166f47h3g4a2h4g2hg2s23f4g2"
    "a34f48h3g8h2ghg2s3fa11j10a6s13a19f43ghgh2g6hgfsa6j10a6j20a28f27a2ghgh2g4hg5a4j10l2s3wf7a185f44h3g9h"
    "g2sa100b32c32j10l9a12f8a2fa2f8af2af24h6ah2a2g2hgfhfhgs3a9j10a70f8a2f39h3g4a2g2h4gfsfha27fg10f40g6hf"
    "g4s8ga8fg6h2g3f46g13hg2s3fs5a13f73a7s10a182f33sa14j10a6f9af37hg7ag6hgfs5a10j10l19a3s2f30a2g22ahg7hg2"
    "hg2a73f7af2af38g6a3gag2ag7fga8j10a6f6af2af32h5ag2ah2ghgfa7j10a310f19g2h2s2a7g2fhf13af34h2g5a3h2ghg"
    "s13j10ga85fa15l21w8u4w17a13sf922a102k111as5a11f196a2636f97s2a13f1072B16gf6g15a10f3995a5f583a6841f30"
    "g12h3g3j10a1734f569a7f31aj10a4s2f79aj10a6f30a2g5sa10f48g7s5w4e4swa10j10al7af21a5f19a432e3f40e2s3j10"
    "a198b32c32l23s4a101f75a4gfh55a7g4e13a64e2sega11h2a14f6136a8f1238a41f10a8935e4ae7ae2af291a15fa29f3a2f"
    "a14f4a8f396a2308f107a5f13a3f9a7f10a2wg2sB4a3932w240j10a6w436a76g46a2g23a9w116a60w246a10w39a2w60h2g3"
    "w3h6B8g8w2g7w30g4w61a21w66g3wa122l20a12l20a12w87a9l25a135b26c26b26c7ac18b26c26bab2a2ba2b2a2b4ab8c4ac"
    "ac7ac11b26c26b2ab4a2b8ab7ac26b2ab4ab5aba3b7ac26b26c26b26c26b26c26b26c26b26c26b26c28a2b25tc25tc6b25t"
    "c25tc6b25tc25tc6b25tc25tc6b25tc25tc6bca2j50w512g55w4g50w8gw14gw2s5a15g5ag15a1104c10fc20a6c6a213g7a"
    "g17a2g7ag2ag5a5e62a33ga112f45a3g7e7a2j10a4fwa320f30ga17f44g4j10a5ua464f27eg4j10a214f30g2fj10a4sa480"
    "f7af4af2af15af197a2l9g7a41b34c34g7ea4j10a4s2a785l59wl3ul4a76l45wl15a194f4af27af2afa2faf10af4afafa6f"
    "a4fafafaf3af2afa2fafafafafaf2afa2f4af7af4af4afaf10af17a5f3af5af17a52t2a270w44a4w100a12w15a2w15aw15a"
    "w37a10l13w161a56w29a13w44a4w9a7w2a14w6a154w251v5w728a4w17a3w13a3w119a4w95a6w12a4wa15w12a4w56a8w10a6"
    "w40a8w30a2w12a4w2a62w340a12w14a2w13a3w10a5w56a7w15a2w11a6w9a7w147aw92j10a1030f42720a32f4154a6f222a2"
    "f5762a14f7473a15f622a2466f542a1506f4939a5f4192a711761Ba30B96a128g240a65040D65534a2D65534a2";

// The same for scripts, by their codes.
constexpr std::string_view kScripts =
    "Zyyy65Latn26Zyyy6Latn26Zyyy47LatnZyyy15LatnZyyy5Latn23ZyyyLatn31ZyyyLatn449Zyyy39Latn5Zyyy5Bopo2"
    "Zyyy20Zinh112Grek4ZyyyGrek3Zzzz2Grek4ZyyyGrekZzzz4GrekZyyyGrekZyyyGrek3ZzzzGrekZzzzGrek20ZzzzGrek63"
    "Copt14Grek16Cyrl133Zinh2Cyrl169ZzzzArmn38Zzzz2Armn50Zzzz2Armn3ZzzzHebr55Zzzz8Hebr27Zzzz4Hebr6Zzzz11"
    "Arab5ZyyyArab6ZyyyArab14ZyyyArab3ZyyyArab32ZyyyArab10Zinh11Arab26ZinhArab108ZyyyArab34Syrc14Zzzz"
    "Syrc60Zzzz2Syrc3Arab48Thaa50Zzzz14Nkoo59Zzzz2Nkoo3Samr46Zzzz2Samr15ZzzzMand28Zzzz2MandZzzzSyrc11"
    "Zzzz5Arab31ZzzzArab2Zzzz5Arab75ZyyyArab29Deva81Zinh4Deva15Zyyy2Deva26Beng4ZzzzBeng8Zzzz2Beng2Zzzz2"
    "Beng22ZzzzBeng7ZzzzBengZzzz3Beng4Zzzz2Beng9Zzzz2Beng2Zzzz2Beng4Zzzz8BengZzzz4Beng2ZzzzBeng5Zzzz2"
    "Beng25Zzzz2Guru3ZzzzGuru6Zzzz4Guru2Zzzz2Guru22ZzzzGuru7ZzzzGuru2ZzzzGuru2ZzzzGuru2Zzzz2GuruZzzzGuru5"
    "Zzzz4Guru2Zzzz2Guru3Zzzz3GuruZzzz7Guru4ZzzzGuruZzzz7Guru17Zzzz10Gujr3ZzzzGujr9ZzzzGujr3ZzzzGujr22"
    "ZzzzGujr7ZzzzGujr2ZzzzGujr5Zzzz2Gujr10ZzzzGujr3ZzzzGujr3Zzzz2GujrZzzz15Gujr4Zzzz2Gujr12Zzzz7Gujr7"
    "ZzzzOrya3ZzzzOrya8Zzzz2Orya2Zzzz2Orya22ZzzzOrya7ZzzzOrya2ZzzzOrya5Zzzz2Orya9Zzzz2Orya2Zzzz2Orya3"
    "Zzzz7Orya3Zzzz4Orya2ZzzzOrya5Zzzz2Orya18Zzzz10Taml2ZzzzTaml6Zzzz3Taml3ZzzzTaml4Zzzz3Taml2ZzzzTaml"
    "ZzzzTaml2Zzzz3Taml2Zzzz3Taml3Zzzz3Taml12Zzzz4Taml5Zzzz3Taml3ZzzzTaml4Zzzz2TamlZzzz6TamlZzzz14Taml21"
    "Zzzz5Telu13ZzzzTelu3ZzzzTelu23ZzzzTelu16Zzzz2Telu9ZzzzTelu3ZzzzTelu4Zzzz7Telu2ZzzzTelu3Zzzz2Telu"
    "Zzzz2Telu4Zzzz2Telu10Zzzz7Telu9Knda13ZzzzKnda3ZzzzKnda23ZzzzKnda10ZzzzKnda5Zzzz2Knda9ZzzzKnda3Zzzz"
    "Knda4Zzzz7Knda2Zzzz6Knda2ZzzzKnda4Zzzz2Knda10ZzzzKnda3Zzzz12Mlym13ZzzzMlym3ZzzzMlym51ZzzzMlym3Zzzz"
    "Mlym6Zzzz4Mlym16Zzzz2Mlym26ZzzzSinh3ZzzzSinh18Zzzz3Sinh24ZzzzSinh9ZzzzSinhZzzz2Sinh7Zzzz3SinhZzzz4"
    "Sinh6ZzzzSinhZzzzSinh8Zzzz6Sinh10Zzzz2Sinh3Zzzz12Thai58Zzzz4ZyyyThai28Zzzz37Laoo2ZzzzLaooZzzzLaoo5"
    "ZzzzLaoo24ZzzzLaooZzzzLaoo23Zzzz2Laoo5ZzzzLaooZzzzLaoo7ZzzzLaoo10Zzzz2Laoo4Zzzz32Tibt72ZzzzTibt36"
    "Zzzz4Tibt39ZzzzTibt36ZzzzTibt15ZzzzTibt7Zyyy4Tibt2Zzzz37Mymr160Geor38ZzzzGeorZzzz5GeorZzzz2Geor43"
    "ZyyyGeor4Hang256Ethi73ZzzzEthi4Zzzz2Ethi7ZzzzEthiZzzzEthi4Zzzz2Ethi41ZzzzEthi4Zzzz2Ethi33ZzzzEthi4"
    "Zzzz2Ethi7ZzzzEthiZzzzEthi4Zzzz2Ethi15ZzzzEthi57ZzzzEthi4Zzzz2Ethi67Zzzz2Ethi32Zzzz3Ethi26Zzzz6"
    "Cher86Zzzz2Cher6Zzzz2Cans640Ogam29Zzzz3Runr75Zyyy3Runr11Zzzz7Tglg22Zzzz9TglgHano21Zyyy2Zzzz9Buhd20"
    "Zzzz12Tagb13ZzzzTagb3ZzzzTagb2Zzzz12Khmr94Zzzz2Khmr10Zzzz6Khmr10Zzzz6Mong2Zyyy2MongZyyyMong20Zzzz6"
    "Mong89Zzzz7Mong43Zzzz5Cans70Zzzz10Limb31ZzzzLimb12Zzzz4Limb12Zzzz4LimbZzzz3Limb12Tale30Zzzz2Tale5"
    "Zzzz11Talu44Zzzz4Talu26Zzzz6Talu11Zzzz3Talu2Khmr32Bugi28Zzzz2Bugi2Lana63ZzzzLana29Zzzz2Lana11Zzzz6"
    "Lana10Zzzz6Lana14Zzzz2Zinh31Zzzz49Bali77ZzzzBali50Sund64Batk52Zzzz8Batk4Lepc56Zzzz3Lepc15Zzzz3Lepc3"
    "Olck48Cyrl11Zzzz5Geor43Zzzz2Geor3Sund8Zzzz8Zinh3ZyyyZinh13ZyyyZinh7Zyyy4ZinhZyyy6ZinhZyyy3Zinh2Zyyy"
    "Zzzz5Latn38Grek5CyrlLatn49Grek5Latn4Grek5Latn13CyrlLatn70GrekZinh64Latn256Grek22Zzzz2Grek6Zzzz2"
    "Grek38Zzzz2Grek6Zzzz2Grek8ZzzzGrekZzzzGrekZzzzGrekZzzzGrek31Zzzz2Grek53ZzzzGrek15ZzzzGrek14Zzzz2"
    "Grek6ZzzzGrek19Zzzz2Grek3ZzzzGrek9ZzzzZyyy12Zinh2Zyyy87ZzzzZyyy11LatnZzzz2Zyyy11LatnZyyy15ZzzzLatn13"
    "Zzzz3Zyyy33Zzzz15Zinh33Zzzz15Zyyy38GrekZyyy3Latn2Zyyy6LatnZyyy27LatnZyyy17Latn41Zyyy3Zzzz4Zyyy666"
    "Zzzz22Zyyy11Zzzz21Zyyy928Brai256Zyyy628Zzzz2Zyyy32ZzzzZyyy105Glag96Latn32Copt116Zzzz5Copt7Geor38Zzzz"
    "GeorZzzz5GeorZzzz2Tfng56Zzzz7Tfng2Zzzz14TfngEthi23Zzzz9Ethi7ZzzzEthi7ZzzzEthi7ZzzzEthi7ZzzzEthi7Zzzz"
    "Ethi7ZzzzEthi7ZzzzEthi7ZzzzCyrl32Zyyy94Zzzz34Hani26ZzzzHani89Zzzz12Hani214Zzzz26Zyyy21HaniZyyyHani"
    "Zyyy25Hani9Zinh4Hang2Zyyy8Hani4Zyyy4ZzzzHira86Zzzz2Zinh2Zyyy2Hira3ZyyyKana90Zyyy2Kana3Zzzz5Bopo43"
    "ZzzzHang94ZzzzZyyy16Bopo32Zyyy38Zzzz9ZyyyKana16Hang31ZzzzZyyy64Hang31Zyyy81Kana47ZyyyKana88Zyyy168"
    "Hani6592Zyyy64Hani20992Yiii1165Zzzz3Yiii55Zzzz9Lisu48Vaii300Zzzz20Cyrl96Bamu88Zzzz8Zyyy34Latn102"
    "Zyyy3Latn67Zzzz2Latn2ZzzzLatnZzzzLatn8Zzzz21Latn14Sylo45Zzzz3Zyyy10Zzzz6Phag56Zzzz8Saur70Zzzz8Saur12"
    "Zzzz6Deva32Kali46ZyyyKaliRjng36Zzzz11RjngHang29Zzzz3Java78ZzzzZyyyJava10Zzzz4Java2Mymr31ZzzzCham55"
    "Zzzz9Cham14Zzzz2Cham10Zzzz2Cham4Mymr32Tavt67Zzzz24Tavt5Mtei23Zzzz10Ethi6Zzzz2Ethi6Zzzz2Ethi6Zzzz9"
    "Ethi7ZzzzEthi7ZzzzLatn43ZyyyLatn9GrekLatn4Zyyy2Zzzz4Cher80Mtei46Zzzz2Mtei10Zzzz6Hang11172Zzzz12"
    "Hang23Zzzz4Hang49Zzzz8452Hani366Zzzz2Hani106Zzzz38Latn7Zzzz12Armn5Zzzz5Hebr26ZzzzHebr5ZzzzHebrZzzz"
    "Hebr2ZzzzHebr2ZzzzHebr10Arab115Zzzz16Arab363Zyyy2Arab80Zzzz2Arab54Zzzz7ArabZzzz32Arab16Zinh16Zyyy10"
    "Zzzz6Zinh14Cyrl2Zyyy35ZzzzZyyy19ZzzzZyyy4Zzzz4Arab5ZzzzArab135Zzzz2ZyyyZzzzZyyy32Latn26Zyyy6Latn26"
    "Zyyy11Kana10ZyyyKana45Zyyy2Hang31Zzzz3Hang6Zzzz2Hang6Zzzz2Hang6Zzzz2Hang3Zzzz3Zyyy7ZzzzZyyy7Zzzz10"
    "Zyyy5Zzzz2Linb12ZzzzLinb26ZzzzLinb19ZzzzLinb2ZzzzLinb15Zzzz2Linb14Zzzz34Linb123Zzzz5Zyyy3Zzzz4Zyyy45"
    "Zzzz3Zyyy9Grek79ZzzzZyyy13Zzzz3GrekZzzz47Zyyy45ZinhZzzz130Lyci29Zzzz3Cari49Zzzz15ZinhZyyy27Zzzz4"
    "Ital36Zzzz9Ital3Goth27Zzzz5Perm43Zzzz5Ugar30ZzzzUgarXpeo36Zzzz4Xpeo14Zzzz42Dsrt80Shaw48Osma30Zzzz2"
    "Osma10Zzzz6Osge36Zzzz4Osge36Zzzz4Elba40Zzzz8Aghb52Zzzz11AghbVith11ZzzzVith15ZzzzVith7ZzzzVith2Zzzz"
    "Vith11ZzzzVith15ZzzzVith7ZzzzVith2Zzzz3Todr52Zzzz12Lina311Zzzz9Lina22Zzzz10Lina8Zzzz24Latn6Zzzz"
    "Latn42ZzzzLatn9Zzzz69Cprt6Zzzz2CprtZzzzCprt44ZzzzCprt2Zzzz3CprtZzzz2CprtArmi22ZzzzArmi9Palm32Nbat31"
    "Zzzz8Nbat9Zzzz48Hatr19ZzzzHatr2Zzzz5Hatr5Phnx28Zzzz3PhnxLydi26Zzzz5LydiZzzz64Mero32Merc24Zzzz4Merc20"
    "Zzzz2Merc46Khar4ZzzzKhar2Zzzz5Khar8ZzzzKhar3ZzzzKhar29Zzzz2Khar3Zzzz4Khar10Zzzz7Khar9Zzzz7Sarb32"
    "Narb32Zzzz32Mani39Zzzz4Mani12Zzzz9Avst54Zzzz3Avst7Prti22Zzzz2Prti8Phli19Zzzz5Phli8Phlp18Zzzz7Phlp4"
    "Zzzz12Phlp7Zzzz80Orkh73Zzzz55Hung51Zzzz13Hung51Zzzz7Hung6Rohg40Zzzz8Rohg10Zzzz6Gara38Zzzz3Gara29"
    "Zzzz8Gara2Zzzz208Arab31ZzzzYezi42ZzzzYezi3Zzzz2Yezi2Zzzz16Arab3Zzzz55Arab4Sogo40Zzzz8Sogd42Zzzz22"
    "Ougr26Zzzz38Chrs28Zzzz20Elym23Zzzz9Brah78Zzzz4Brah36Zzzz9BrahKthi67Zzzz10KthiZzzz2Sora25Zzzz7Sora10"
    "Zzzz6Cakm53ZzzzCakm18Zzzz8Mahj39Zzzz9Shrd96ZzzzSinh20Zzzz11Khoj18ZzzzKhoj47Zzzz62Mult7ZzzzMultZzzz"
    "Mult4ZzzzMult15ZzzzMult11Zzzz6Sind59Zzzz5Sind10Zzzz6Gran4ZzzzGran8Zzzz2Gran2Zzzz2Gran22ZzzzGran7Zzzz"
    "Gran2ZzzzGran5ZzzzZinhGran9Zzzz2Gran2Zzzz2Gran3Zzzz2GranZzzz6GranZzzz5Gran7Zzzz2Gran7Zzzz3Gran5"
    "Zzzz11Tutg10ZzzzTutgZzzz2TutgZzzzTutg38ZzzzTutg10ZzzzTutgZzzz2TutgZzzzTutg4ZzzzTutg10ZzzzTutg2Zzzz8"
    "Tutg2Zzzz29Newa92ZzzzNewa5Zzzz30Tirh72Zzzz8Tirh10Zzzz166Sidd54Zzzz2Sidd38Zzzz34Modi69Zzzz11Modi10"
    "Zzzz6Mong13Zzzz19Takr58Zzzz6Takr10Zzzz6Mymr20Zzzz28Ahom27Zzzz2Ahom15Zzzz4Ahom23Zzzz185Dogr60Zzzz100"
    "Wara83Zzzz12WaraDiak7Zzzz2DiakZzzz2Diak8ZzzzDiak2ZzzzDiak30ZzzzDiak2Zzzz2Diak12Zzzz9Diak10Zzzz70"
    "Nand8Zzzz2Nand46Zzzz2Nand11Zzzz27Zanb72Zzzz8Soyo83Zzzz13Cans16Pauc57Zzzz7Deva10Zzzz182Sunu34Zzzz14"
    "Sunu10Zzzz6Bhks9ZzzzBhks45ZzzzBhks14Zzzz10Bhks29Zzzz3Marc32Zzzz2Marc22ZzzzMarc14Zzzz73Gonm7ZzzzGonm2"
    "ZzzzGonm44Zzzz3GonmZzzzGonm2ZzzzGonm9Zzzz8Gonm10Zzzz6Gong6ZzzzGong2ZzzzGong37ZzzzGong2ZzzzGong6Zzzz7"
    "Gong10Zzzz310Maka25Zzzz7Kawi17ZzzzKawi41Zzzz3Kawi29Zzzz85LisuZzzz15Taml50Zzzz13TamlXsux922Zzzz102"
    "Xsux111ZzzzXsux5Zzzz11Xsux196Zzzz2636Cpmn99Zzzz13Egyp1110Zzzz10Egyp3995Zzzz5Hluw583Zzzz6841Gukh58"
    "Zzzz1734Bamu569Zzzz7Mroo31ZzzzMroo10Zzzz4Mroo2Tnsa79ZzzzTnsa10Zzzz6Bass30Zzzz2Bass6Zzzz10Hmng70"
    "Zzzz10Hmng10ZzzzHmng7ZzzzHmng21Zzzz5Hmng19Zzzz432Krai58Zzzz198Medf91Zzzz101Plrd75Zzzz4Plrd57Zzzz7"
    "Plrd17Zzzz64TangNshuHani2KitsZzzz11Hani2Zzzz14Tang6136Zzzz8Tang768Kits470Zzzz41KitsTang9Zzzz8935"
    "Kana4ZzzzKana7ZzzzKana2ZzzzKanaHira287Kana3Zzzz15HiraZzzz29Hira3Zzzz2KanaZzzz14Kana4Zzzz8Nshu396"
    "Zzzz2308Dupl107Zzzz5Dupl13Zzzz3Dupl9Zzzz7Dupl10Zzzz2Dupl4Zyyy4Zzzz3932Zyyy250Zzzz6Zyyy436Zzzz76"
    "Zinh46Zzzz2Zinh23Zzzz9Zyyy116Zzzz60Zyyy246Zzzz10Zyyy39Zzzz2Zyyy62Zinh3Zyyy17Zinh8Zyyy2Zinh7Zyyy30"
    "Zinh4Zyyy61Zzzz21Grek70Zzzz122Zyyy20Zzzz12Zyyy20Zzzz12Zyyy87Zzzz9Zyyy25Zzzz135Zyyy85ZzzzZyyy71Zzzz"
    "Zyyy2Zzzz2ZyyyZzzz2Zyyy2Zzzz2Zyyy4ZzzzZyyy12ZzzzZyyyZzzzZyyy7ZzzzZyyy65ZzzzZyyy4Zzzz2Zyyy8ZzzzZyyy7"
    "ZzzzZyyy28ZzzzZyyy4ZzzzZyyy5ZzzzZyyyZzzz3Zyyy7ZzzzZyyy340Zzzz2Zyyy292Zzzz2Zyyy50Sgnw652Zzzz15Sgnw5"
    "ZzzzSgnw15Zzzz1104Latn31Zzzz6Latn6Zzzz213Glag7ZzzzGlag17Zzzz2Glag7ZzzzGlag2ZzzzGlag5Zzzz5Cyrl62"
    "Zzzz33CyrlZzzz112Hmnp45Zzzz3Hmnp14Zzzz2Hmnp10Zzzz4Hmnp2Zzzz320Toto31Zzzz17Wcho58Zzzz5WchoZzzz464"
    "Nagm42Zzzz214Onao43Zzzz4OnaoZzzz480Ethi7ZzzzEthi4ZzzzEthi2ZzzzEthi15ZzzzMend197Zzzz2Mend16Zzzz41"
    "Adlm76Zzzz4Adlm10Zzzz4Adlm2Zzzz785Zyyy68Zzzz76Zyyy61Zzzz194Arab4ZzzzArab27ZzzzArab2ZzzzArabZzzz2Arab"
    "ZzzzArab10ZzzzArab4ZzzzArabZzzzArabZzzz6ArabZzzz4ArabZzzzArabZzzzArabZzzzArab3ZzzzArab2ZzzzArabZzzz2"
    "ArabZzzzArabZzzzArabZzzzArabZzzzArabZzzzArab2ZzzzArabZzzz2Arab4ZzzzArab7ZzzzArab4ZzzzArab4ZzzzArab"
    "ZzzzArab10ZzzzArab17Zzzz5Arab3ZzzzArab5ZzzzArab17Zzzz52Arab2Zzzz270Zyyy44Zzzz4Zyyy100Zzzz12Zyyy15"
    "Zzzz2Zyyy15ZzzzZyyy15ZzzzZyyy37Zzzz10Zyyy174Zzzz56Zyyy26HiraZyyy2Zzzz13Zyyy44Zzzz4Zyyy9Zzzz7Zyyy2"
    "Zzzz14Zyyy6Zzzz154Zyyy984Zzzz4Zyyy17Zzzz3Zyyy13Zzzz3Zyyy119Zzzz4Zyyy95Zzzz6Zyyy12Zzzz4ZyyyZzzz15"
    "Zyyy12Zzzz4Zyyy56Zzzz8Zyyy10Zzzz6Zyyy40Zzzz8Zyyy30Zzzz2Zyyy12Zzzz4Zyyy2Zzzz62Zyyy340Zzzz12Zyyy14"
    "Zzzz2Zyyy13Zzzz3Zyyy10Zzzz5Zyyy56Zzzz7Zyyy15Zzzz2Zyyy11Zzzz6Zyyy9Zzzz7Zyyy147ZzzzZyyy102Zzzz1030"
    "Hani42720Zzzz32Hani4154Zzzz6Hani222Zzzz2Hani5762Zzzz14Hani7473Zzzz15Hani622Zzzz2466Hani542Zzzz1506"
    "Hani4939Zzzz5Hani4192Zzzz711761ZyyyZzzz30Zyyy96Zzzz128Zinh240Zzzz196112";

// Code and name, in lower case without underscores.
constexpr ScriptName kScriptNames[] = {
    {"adlm", "adlam"}, {"aghb", "caucasianalbanian"}, {"ahom", "ahom"}, {"arab", "arabic"},
    {"armi", "imperialaramaic"}, {"armn", "armenian"}, {"avst", "avestan"}, {"bali", "balinese"},
    {"bamu", "bamum"}, {"bass", "bassavah"}, {"batk", "batak"}, {"beng", "bengali"}, {"bhks", "bhaiksuki"},
    {"bopo", "bopomofo"}, {"brah", "brahmi"}, {"brai", "braille"}, {"bugi", "buginese"}, {"buhd", "buhid"},
    {"cakm", "chakma"}, {"cans", "canadianaboriginal"}, {"cari", "carian"}, {"cham", "cham"},
    {"cher", "cherokee"}, {"chrs", "chorasmian"}, {"copt", "coptic"}, {"cpmn", "cyprominoan"},
    {"cprt", "cypriot"}, {"cyrl", "cyrillic"}, {"deva", "devanagari"}, {"diak", "divesakuru"},
    {"dogr", "dogra"}, {"dsrt", "deseret"}, {"dupl", "duployan"}, {"egyp", "egyptianhieroglyphs"},
    {"elba", "elbasan"}, {"elym", "elymaic"}, {"ethi", "ethiopic"}, {"gara", "garay"}, {"geor", "georgian"},
    {"glag", "glagolitic"}, {"gong", "gunjalagondi"}, {"gonm", "masaramgondi"}, {"goth", "gothic"},
    {"gran", "grantha"}, {"grek", "greek"}, {"gujr", "gujarati"}, {"gukh", "gurungkhema"},
    {"guru", "gurmukhi"}, {"hang", "hangul"}, {"hani", "han"}, {"hano", "hanunoo"}, {"hatr", "hatran"},
    {"hebr", "hebrew"}, {"hira", "hiragana"}, {"hluw", "anatolianhieroglyphs"}, {"hmng", "pahawhhmong"},
    {"hmnp", "nyiakengpuachuehmong"}, {"hung", "oldhungarian"}, {"ital", "olditalic"}, {"java", "javanese"},
    {"kali", "kayahli"}, {"kana", "katakana"}, {"kawi", "kawi"}, {"khar", "kharoshthi"}, {"khmr", "khmer"},
    {"khoj", "khojki"}, {"kits", "khitansmallscript"}, {"knda", "kannada"}, {"krai", "kiratrai"},
    {"kthi", "kaithi"}, {"lana", "taitham"}, {"laoo", "lao"}, {"latn", "latin"}, {"lepc", "lepcha"},
    {"limb", "limbu"}, {"lina", "lineara"}, {"linb", "linearb"}, {"lisu", "lisu"}, {"lyci", "lycian"},
    {"lydi", "lydian"}, {"mahj", "mahajani"}, {"maka", "makasar"}, {"mand", "mandaic"},
    {"mani", "manichaean"}, {"marc", "marchen"}, {"medf", "medefaidrin"}, {"mend", "mendekikakui"},
    {"merc", "meroiticcursive"}, {"mero", "meroitichieroglyphs"}, {"mlym", "malayalam"}, {"modi", "modi"},
    {"mong", "mongolian"}, {"mroo", "mro"}, {"mtei", "meeteimayek"}, {"mult", "multani"},
    {"mymr", "myanmar"}, {"nagm", "nagmundari"}, {"nand", "nandinagari"}, {"narb", "oldnortharabian"},
    {"nbat", "nabataean"}, {"newa", "newa"}, {"nkoo", "nko"}, {"nshu", "nushu"}, {"ogam", "ogham"},
    {"olck", "olchiki"}, {"onao", "olonal"}, {"orkh", "oldturkic"}, {"orya", "oriya"}, {"osge", "osage"},
    {"osma", "osmanya"}, {"ougr", "olduyghur"}, {"palm", "palmyrene"}, {"pauc", "paucinhau"},
    {"perm", "oldpermic"}, {"phag", "phagspa"}, {"phli", "inscriptionalpahlavi"},
    {"phlp", "psalterpahlavi"}, {"phnx", "phoenician"}, {"plrd", "miao"}, {"prti", "inscriptionalparthian"},
    {"rjng", "rejang"}, {"rohg", "hanifirohingya"}, {"runr", "runic"}, {"samr", "samaritan"},
    {"sarb", "oldsoutharabian"}, {"saur", "saurashtra"}, {"sgnw", "signwriting"}, {"shaw", "shavian"},
    {"shrd", "sharada"}, {"sidd", "siddham"}, {"sind", "khudawadi"}, {"sinh", "sinhala"},
    {"sogd", "sogdian"}, {"sogo", "oldsogdian"}, {"sora", "sorasompeng"}, {"soyo", "soyombo"},
    {"sund", "sundanese"}, {"sunu", "sunuwar"}, {"sylo", "sylotinagri"}, {"syrc", "syriac"},
    {"tagb", "tagbanwa"}, {"takr", "takri"}, {"tale", "taile"}, {"talu", "newtailue"}, {"taml", "tamil"},
    {"tang", "tangut"}, {"tavt", "taiviet"}, {"telu", "telugu"}, {"tfng", "tifinagh"}, {"tglg", "tagalog"},
    {"thaa", "thaana"}, {"thai", "thai"}, {"tibt", "tibetan"}, {"tirh", "tirhuta"}, {"tnsa", "tangsa"},
    {"todr", "todhri"}, {"toto", "toto"}, {"tutg", "tulutigalari"}, {"ugar", "ugaritic"}, {"vaii", "vai"},
    {"vith", "vithkuqi"}, {"wara", "warangciti"}, {"wcho", "wancho"}, {"xpeo", "oldpersian"},
    {"xsux", "cuneiform"}, {"yezi", "yezidi"}, {"yiii", "yi"}, {"zanb", "zanabazarsquare"},
    {"zinh", "inherited"}, {"zyyy", "common"}, {"zzzz", "unknown"},
};

constexpr CaseRun kCaseRuns[] = {
    {0x41, 32, 1, 26}, {0x4b, 8415, 1, 1}, {0x53, 300, 1, 1}, {0x6b, 8383, 1, 1}, {0x73, 268, 1, 1},
    {0xb5, 743, 1, 1}, {0xb5, 775, 1, 1}, {0xc0, 32, 1, 23}, {0xc5, 8294, 1, 1}, {0xd8, 32, 1, 7},
    {0xdf, 7615, 1, 1}, {0xe5, 8262, 1, 1}, {0xff, 121, 1, 1}, {0x100, 1, 2, 24}, {0x132, 1, 2, 3},
    {0x139, 1, 2, 8}, {0x14a, 1, 2, 23}, {0x179, 1, 2, 3}, {0x180, 195, 1, 1}, {0x181, 210, 1, 1},
    {0x182, 1, 2, 2}, {0x186, 206, 1, 1}, {0x187, 1, 1, 1}, {0x189, 205, 1, 2}, {0x18b, 1, 1, 1},
    {0x18e, 79, 1, 1}, {0x18f, 202, 1, 1}, {0x190, 203, 1, 1}, {0x191, 1, 1, 1}, {0x193, 205, 1, 1},
    {0x194, 207, 1, 1}, {0x195, 97, 1, 1}, {0x196, 211, 1, 1}, {0x197, 209, 1, 1}, {0x198, 1, 1, 1},
    {0x19a, 163, 1, 1}, {0x19b, 42561, 1, 1}, {0x19c, 211, 1, 1}, {0x19d, 213, 1, 1}, {0x19e, 130, 1, 1},
    {0x19f, 214, 1, 1}, {0x1a0, 1, 2, 3}, {0x1a6, 218, 1, 1}, {0x1a7, 1, 1, 1}, {0x1a9, 218, 1, 1},
    {0x1ac, 1, 1, 1}, {0x1ae, 218, 1, 1}, {0x1af, 1, 1, 1}, {0x1b1, 217, 1, 2}, {0x1b3, 1, 2, 2},
    {0x1b7, 219, 1, 1}, {0x1b8, 1, 1, 1}, {0x1bc, 1, 1, 1}, {0x1bf, 56, 1, 1}, {0x1c4, 1, 1, 2},
    {0x1c4, 2, 1, 1}, {0x1c7, 1, 1, 2}, {0x1c7, 2, 1, 1}, {0x1ca, 1, 1, 2}, {0x1ca, 2, 1, 1},
    {0x1cd, 1, 2, 8}, {0x1de, 1, 2, 9}, {0x1f1, 1, 1, 2}, {0x1f1, 2, 1, 1}, {0x1f4, 1, 1, 1},
    {0x1f8, 1, 2, 20}, {0x222, 1, 2, 9}, {0x23a, 10795, 1, 1}, {0x23b, 1, 1, 1}, {0x23e, 10792, 1, 1},
    {0x23f, 10815, 1, 2}, {0x241, 1, 1, 1}, {0x244, 69, 1, 1}, {0x245, 71, 1, 1}, {0x246, 1, 2, 5},
    {0x250, 10783, 1, 1}, {0x251, 10780, 1, 1}, {0x252, 10782, 1, 1}, {0x25c, 42319, 1, 1},
    {0x261, 42315, 1, 1}, {0x264, 42343, 1, 1}, {0x265, 42280, 1, 1}, {0x266, 42308, 1, 1},
    {0x26a, 42308, 1, 1}, {0x26b, 10743, 1, 1}, {0x26c, 42305, 1, 1}, {0x271, 10749, 1, 1},
    {0x27d, 10727, 1, 1}, {0x282, 42307, 1, 1}, {0x287, 42282, 1, 1}, {0x29d, 42261, 1, 1},
    {0x29e, 42258, 1, 1}, {0x345, 84, 1, 1}, {0x345, 116, 1, 1}, {0x345, 7289, 1, 1}, {0x370, 1, 2, 2},
    {0x376, 1, 1, 1}, {0x37b, 130, 1, 3}, {0x37f, 116, 1, 1}, {0x386, 38, 1, 1}, {0x388, 37, 1, 3},
    {0x38c, 64, 1, 1}, {0x38e, 63, 1, 2}, {0x390, 7235, 1, 1}, {0x391, 32, 1, 17}, {0x392, 62, 1, 1},
    {0x395, 96, 1, 1}, {0x398, 57, 1, 1}, {0x398, 92, 1, 1}, {0x399, 7205, 1, 1}, {0x39a, 86, 1, 1},
    {0x3a0, 54, 1, 1}, {0x3a1, 80, 1, 1}, {0x3a3, 31, 1, 1}, {0x3a3, 32, 1, 9}, {0x3a6, 47, 1, 1},
    {0x3a9, 7549, 1, 1}, {0x3b0, 7219, 1, 1}, {0x3b2, 30, 1, 1}, {0x3b5, 64, 1, 1}, {0x3b8, 25, 1, 1},
    {0x3b8, 60, 1, 1}, {0x3b9, 7173, 1, 1}, {0x3ba, 54, 1, 1}, {0x3c0, 22, 1, 1}, {0x3c1, 48, 1, 1},
    {0x3c2, 1, 1, 1}, {0x3c6, 15, 1, 1}, {0x3c9, 7517, 1, 1}, {0x3cf, 8, 1, 1}, {0x3d1, 35, 1, 1},
    {0x3d8, 1, 2, 12}, {0x3f2, 7, 1, 1}, {0x3f7, 1, 1, 1}, {0x3fa, 1, 1, 1}, {0x400, 80, 1, 16},
    {0x410, 32, 1, 32}, {0x412, 6254, 1, 1}, {0x414, 6253, 1, 1}, {0x41e, 6244, 1, 1}, {0x421, 6242, 1, 2},
    {0x422, 6243, 1, 1}, {0x42a, 6236, 1, 1}, {0x432, 6222, 1, 1}, {0x434, 6221, 1, 1}, {0x43e, 6212, 1, 1},
    {0x441, 6210, 1, 2}, {0x442, 6211, 1, 1}, {0x44a, 6204, 1, 1}, {0x460, 1, 2, 17}, {0x462, 6181, 1, 1},
    {0x463, 6180, 1, 1}, {0x48a, 1, 2, 27}, {0x4c0, 15, 1, 1}, {0x4c1, 1, 2, 7}, {0x4d0, 1, 2, 48},
    {0x531, 48, 1, 38}, {0x10a0, 7264, 1, 38}, {0x10c7, 7264, 1, 1}, {0x10cd, 7264, 1, 1},
    {0x10d0, 3008, 1, 43}, {0x10fd, 3008, 1, 3}, {0x13a0, 38864, 1, 80}, {0x13f0, 8, 1, 6},
    {0x1c84, 1, 1, 1}, {0x1c88, 35266, 1, 1}, {0x1c88, 35267, 1, 1}, {0x1c89, 1, 1, 1},
    {0x1d79, 35332, 1, 1}, {0x1d7d, 3814, 1, 1}, {0x1d8e, 35384, 1, 1}, {0x1e00, 1, 2, 75},
    {0x1e60, 59, 1, 1}, {0x1e61, 58, 1, 1}, {0x1ea0, 1, 2, 48}, {0x1f00, 8, 1, 8}, {0x1f10, 8, 1, 6},
    {0x1f20, 8, 1, 8}, {0x1f30, 8, 1, 8}, {0x1f40, 8, 1, 6}, {0x1f51, 8, 2, 4}, {0x1f60, 8, 1, 8},
    {0x1f70, 74, 1, 2}, {0x1f72, 86, 1, 4}, {0x1f76, 100, 1, 2}, {0x1f78, 128, 1, 2}, {0x1f7a, 112, 1, 2},
    {0x1f7c, 126, 1, 2}, {0x1f80, 8, 1, 8}, {0x1f90, 8, 1, 8}, {0x1fa0, 8, 1, 8}, {0x1fb0, 8, 1, 2},
    {0x1fb3, 9, 1, 1}, {0x1fc3, 9, 1, 1}, {0x1fd0, 8, 1, 2}, {0x1fe0, 8, 1, 2}, {0x1fe5, 7, 1, 1},
    {0x1ff3, 9, 1, 1}, {0x2132, 28, 1, 1}, {0x2160, 16, 1, 16}, {0x2183, 1, 1, 1}, {0x24b6, 26, 1, 26},
    {0x2c00, 48, 1, 48}, {0x2c60, 1, 1, 1}, {0x2c67, 1, 2, 3}, {0x2c72, 1, 1, 1}, {0x2c75, 1, 1, 1},
    {0x2c80, 1, 2, 50}, {0x2ceb, 1, 2, 2}, {0x2cf2, 1, 1, 1}, {0xa640, 1, 2, 23}, {0xa680, 1, 2, 14},
    {0xa722, 1, 2, 7}, {0xa732, 1, 2, 31}, {0xa779, 1, 2, 2}, {0xa77e, 1, 2, 5}, {0xa78b, 1, 1, 1},
    {0xa790, 1, 2, 2}, {0xa794, 48, 1, 1}, {0xa796, 1, 2, 10}, {0xa7b3, 928, 1, 1}, {0xa7b4, 1, 2, 8},
    {0xa7c7, 1, 2, 2}, {0xa7cc, 1, 1, 1}, {0xa7d0, 1, 1, 1}, {0xa7d6, 1, 2, 3}, {0xa7f5, 1, 1, 1},
    {0xfb05, 1, 1, 1}, {0xff21, 32, 1, 26}, {0x10400, 40, 1, 40}, {0x104b0, 40, 1, 36},
    {0x10570, 39, 2, 19}, {0x10571, 39, 2, 5}, {0x1057d, 39, 2, 7}, {0x1058d, 39, 2, 3},
    {0x10595, 39, 1, 1}, {0x10c80, 64, 1, 51}, {0x10d50, 32, 1, 22}, {0x118a0, 32, 1, 32},
    {0x16e40, 32, 1, 32}, {0x1e900, 34, 1, 34},
};

}  // namespace

std::string_view category_text() { return kCategories; }
std::string_view script_text() { return kScripts; }
std::span<const ScriptName> script_names() { return kScriptNames; }
std::span<const CaseRun> case_runs() { return kCaseRuns; }

}  // namespace quire
