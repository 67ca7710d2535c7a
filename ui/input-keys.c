/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Keys: names, numbers, and the scan codes of PS/2 keyboards ("Keyboard Scan Code Specification", rev. 1.3a;
 * sets as the installed stock program sends them).
 */
#include "util/osdep.h"

#include "ui/input.h"

/* The codes of make in sets 1, 2 and 3; 0xe0xx: after the prefix E0; 0: none. number: see input.h. */
typedef struct Key {
    uint8_t number;
    uint16_t code[3];
} Key;

/* clang-format off */
static const Key keys[Q_KEY_CODE_COUNT] = {
    [Q_KEY_CODE_SHIFT] = { 0x2a, { 0x2a, 0x12, 0x12 } },
    [Q_KEY_CODE_SHIFT_R] = { 0x36, { 0x36, 0x59, 0x59 } },
    [Q_KEY_CODE_ALT] = { 0x38, { 0x38, 0x11, 0x19 } },
    [Q_KEY_CODE_ALT_R] = { 0xb8, { 0xe038, 0xe011, 0x39 } },
    [Q_KEY_CODE_CTRL] = { 0x1d, { 0x1d, 0x14, 0x11 } },
    [Q_KEY_CODE_CTRL_R] = { 0x9d, { 0xe01d, 0xe014, 0x58 } },
    [Q_KEY_CODE_MENU] = { 0x9e, { 0xe01e, 0x00, 0x91 } },
    [Q_KEY_CODE_ESC] = { 0x01, { 0x01, 0x76, 0x08 } },
    [Q_KEY_CODE_1] = { 0x02, { 0x02, 0x16, 0x16 } },
    [Q_KEY_CODE_2] = { 0x03, { 0x03, 0x1e, 0x1e } },
    [Q_KEY_CODE_3] = { 0x04, { 0x04, 0x26, 0x26 } },
    [Q_KEY_CODE_4] = { 0x05, { 0x05, 0x25, 0x25 } },
    [Q_KEY_CODE_5] = { 0x06, { 0x06, 0x2e, 0x2e } },
    [Q_KEY_CODE_6] = { 0x07, { 0x07, 0x36, 0x36 } },
    [Q_KEY_CODE_7] = { 0x08, { 0x08, 0x3d, 0x3d } },
    [Q_KEY_CODE_8] = { 0x09, { 0x09, 0x3e, 0x3e } },
    [Q_KEY_CODE_9] = { 0x0a, { 0x0a, 0x46, 0x46 } },
    [Q_KEY_CODE_0] = { 0x0b, { 0x0b, 0x45, 0x45 } },
    [Q_KEY_CODE_MINUS] = { 0x0c, { 0x0c, 0x4e, 0x4e } },
    [Q_KEY_CODE_EQUAL] = { 0x0d, { 0x0d, 0x55, 0x55 } },
    [Q_KEY_CODE_BACKSPACE] = { 0x0e, { 0x0e, 0x66, 0x66 } },
    [Q_KEY_CODE_TAB] = { 0x0f, { 0x0f, 0x0d, 0x0d } },
    [Q_KEY_CODE_Q] = { 0x10, { 0x10, 0x15, 0x15 } },
    [Q_KEY_CODE_W] = { 0x11, { 0x11, 0x1d, 0x1d } },
    [Q_KEY_CODE_E] = { 0x12, { 0x12, 0x24, 0x24 } },
    [Q_KEY_CODE_R] = { 0x13, { 0x13, 0x2d, 0x2d } },
    [Q_KEY_CODE_T] = { 0x14, { 0x14, 0x2c, 0x2c } },
    [Q_KEY_CODE_Y] = { 0x15, { 0x15, 0x35, 0x35 } },
    [Q_KEY_CODE_U] = { 0x16, { 0x16, 0x3c, 0x3c } },
    [Q_KEY_CODE_I] = { 0x17, { 0x17, 0x43, 0x43 } },
    [Q_KEY_CODE_O] = { 0x18, { 0x18, 0x44, 0x44 } },
    [Q_KEY_CODE_P] = { 0x19, { 0x19, 0x4d, 0x4d } },
    [Q_KEY_CODE_BRACKET_LEFT] = { 0x1a, { 0x1a, 0x54, 0x54 } },
    [Q_KEY_CODE_BRACKET_RIGHT] = { 0x1b, { 0x1b, 0x5b, 0x5b } },
    [Q_KEY_CODE_RET] = { 0x1c, { 0x1c, 0x5a, 0x5a } },
    [Q_KEY_CODE_A] = { 0x1e, { 0x1e, 0x1c, 0x1c } },
    [Q_KEY_CODE_S] = { 0x1f, { 0x1f, 0x1b, 0x1b } },
    [Q_KEY_CODE_D] = { 0x20, { 0x20, 0x23, 0x23 } },
    [Q_KEY_CODE_F] = { 0x21, { 0x21, 0x2b, 0x2b } },
    [Q_KEY_CODE_G] = { 0x22, { 0x22, 0x34, 0x34 } },
    [Q_KEY_CODE_H] = { 0x23, { 0x23, 0x33, 0x33 } },
    [Q_KEY_CODE_J] = { 0x24, { 0x24, 0x3b, 0x3b } },
    [Q_KEY_CODE_K] = { 0x25, { 0x25, 0x42, 0x42 } },
    [Q_KEY_CODE_L] = { 0x26, { 0x26, 0x4b, 0x4b } },
    [Q_KEY_CODE_SEMICOLON] = { 0x27, { 0x27, 0x4c, 0x4c } },
    [Q_KEY_CODE_APOSTROPHE] = { 0x28, { 0x28, 0x52, 0x52 } },
    [Q_KEY_CODE_GRAVE_ACCENT] = { 0x29, { 0x29, 0x0e, 0x0e } },
    [Q_KEY_CODE_BACKSLASH] = { 0x2b, { 0x2b, 0x5d, 0x5c } },
    [Q_KEY_CODE_Z] = { 0x2c, { 0x2c, 0x1a, 0x1a } },
    [Q_KEY_CODE_X] = { 0x2d, { 0x2d, 0x22, 0x22 } },
    [Q_KEY_CODE_C] = { 0x2e, { 0x2e, 0x21, 0x21 } },
    [Q_KEY_CODE_V] = { 0x2f, { 0x2f, 0x2a, 0x2a } },
    [Q_KEY_CODE_B] = { 0x30, { 0x30, 0x32, 0x32 } },
    [Q_KEY_CODE_N] = { 0x31, { 0x31, 0x31, 0x31 } },
    [Q_KEY_CODE_M] = { 0x32, { 0x32, 0x3a, 0x3a } },
    [Q_KEY_CODE_COMMA] = { 0x33, { 0x33, 0x41, 0x41 } },
    [Q_KEY_CODE_DOT] = { 0x34, { 0x34, 0x49, 0x49 } },
    [Q_KEY_CODE_SLASH] = { 0x35, { 0x35, 0x4a, 0x4a } },
    [Q_KEY_CODE_ASTERISK] = { 0x37, { 0x37, 0x7c, 0x7e } },
    [Q_KEY_CODE_SPC] = { 0x39, { 0x39, 0x29, 0x29 } },
    [Q_KEY_CODE_CAPS_LOCK] = { 0x3a, { 0x3a, 0x58, 0x14 } },
    [Q_KEY_CODE_F1] = { 0x3b, { 0x3b, 0x05, 0x07 } },
    [Q_KEY_CODE_F2] = { 0x3c, { 0x3c, 0x06, 0x0f } },
    [Q_KEY_CODE_F3] = { 0x3d, { 0x3d, 0x04, 0x17 } },
    [Q_KEY_CODE_F4] = { 0x3e, { 0x3e, 0x0c, 0x1f } },
    [Q_KEY_CODE_F5] = { 0x3f, { 0x3f, 0x03, 0x27 } },
    [Q_KEY_CODE_F6] = { 0x40, { 0x40, 0x0b, 0x2f } },
    [Q_KEY_CODE_F7] = { 0x41, { 0x41, 0x83, 0x37 } },
    [Q_KEY_CODE_F8] = { 0x42, { 0x42, 0x0a, 0x3f } },
    [Q_KEY_CODE_F9] = { 0x43, { 0x43, 0x01, 0x47 } },
    [Q_KEY_CODE_F10] = { 0x44, { 0x44, 0x09, 0x4f } },
    [Q_KEY_CODE_NUM_LOCK] = { 0x45, { 0x45, 0x77, 0x76 } },
    [Q_KEY_CODE_SCROLL_LOCK] = { 0x46, { 0x46, 0x7e, 0x5f } },
    [Q_KEY_CODE_KP_DIVIDE] = { 0xb5, { 0xe035, 0xe04a, 0x4a } },
    [Q_KEY_CODE_KP_MULTIPLY] = { 0x37, { 0x37, 0x7c, 0x7e } },
    [Q_KEY_CODE_KP_SUBTRACT] = { 0x4a, { 0x4a, 0x7b, 0x4e } },
    [Q_KEY_CODE_KP_ADD] = { 0x4e, { 0x4e, 0x79, 0x7c } },
    [Q_KEY_CODE_KP_ENTER] = { 0x9c, { 0xe01c, 0xe05a, 0x79 } },
    [Q_KEY_CODE_KP_DECIMAL] = { 0x53, { 0x53, 0x71, 0x71 } },
    [Q_KEY_CODE_SYSRQ] = { 0x54, { 0xe037, 0xe07c, 0x57 } },
    [Q_KEY_CODE_KP_0] = { 0x52, { 0x52, 0x70, 0x70 } },
    [Q_KEY_CODE_KP_1] = { 0x4f, { 0x4f, 0x69, 0x69 } },
    [Q_KEY_CODE_KP_2] = { 0x50, { 0x50, 0x72, 0x72 } },
    [Q_KEY_CODE_KP_3] = { 0x51, { 0x51, 0x7a, 0x7a } },
    [Q_KEY_CODE_KP_4] = { 0x4b, { 0x4b, 0x6b, 0x6b } },
    [Q_KEY_CODE_KP_5] = { 0x4c, { 0x4c, 0x73, 0x73 } },
    [Q_KEY_CODE_KP_6] = { 0x4d, { 0x4d, 0x74, 0x74 } },
    [Q_KEY_CODE_KP_7] = { 0x47, { 0x47, 0x6c, 0x6c } },
    [Q_KEY_CODE_KP_8] = { 0x48, { 0x48, 0x75, 0x75 } },
    [Q_KEY_CODE_KP_9] = { 0x49, { 0x49, 0x7d, 0x7d } },
    [Q_KEY_CODE_LESS] = { 0x56, { 0x56, 0x61, 0x13 } },
    [Q_KEY_CODE_F11] = { 0x57, { 0x57, 0x78, 0x56 } },
    [Q_KEY_CODE_F12] = { 0x58, { 0x58, 0x07, 0x5e } },
    [Q_KEY_CODE_PRINT] = { 0xb7, { 0xe037, 0xe07c, 0x57 } },
    [Q_KEY_CODE_HOME] = { 0xc7, { 0xe047, 0xe06c, 0x6e } },
    [Q_KEY_CODE_PGUP] = { 0xc9, { 0xe049, 0xe07d, 0x6f } },
    [Q_KEY_CODE_PGDN] = { 0xd1, { 0xe051, 0xe07a, 0x6d } },
    [Q_KEY_CODE_END] = { 0xcf, { 0xe04f, 0xe069, 0x65 } },
    [Q_KEY_CODE_LEFT] = { 0xcb, { 0xe04b, 0xe06b, 0x61 } },
    [Q_KEY_CODE_UP] = { 0xc8, { 0xe048, 0xe075, 0x63 } },
    [Q_KEY_CODE_DOWN] = { 0xd0, { 0xe050, 0xe072, 0x60 } },
    [Q_KEY_CODE_RIGHT] = { 0xcd, { 0xe04d, 0xe074, 0x6a } },
    [Q_KEY_CODE_INSERT] = { 0xd2, { 0xe052, 0xe070, 0x67 } },
    [Q_KEY_CODE_DELETE] = { 0xd3, { 0xe053, 0xe071, 0x64 } },
    [Q_KEY_CODE_STOP] = { 0xe8, { 0xe068, 0xe028, 0x0a } },
    [Q_KEY_CODE_AGAIN] = { 0x85, { 0xe005, 0x00, 0x0b } },
    [Q_KEY_CODE_PROPS] = { 0x86, { 0xe006, 0x00, 0x0c } },
    [Q_KEY_CODE_UNDO] = { 0x87, { 0xe007, 0x00, 0x10 } },
    [Q_KEY_CODE_FRONT] = { 0x8c, { 0xe00c, 0x00, 0x00 } },
    [Q_KEY_CODE_COPY] = { 0xf8, { 0xe078, 0x00, 0x18 } },
    [Q_KEY_CODE_OPEN] = { 0x64, { 0x64, 0x00, 0x20 } },
    [Q_KEY_CODE_PASTE] = { 0x65, { 0x65, 0x00, 0x28 } },
    [Q_KEY_CODE_FIND] = { 0xc1, { 0xe041, 0x00, 0x30 } },
    [Q_KEY_CODE_CUT] = { 0xbc, { 0xe03c, 0x00, 0x38 } },
    [Q_KEY_CODE_LF] = { 0x5b, { 0x5b, 0x00, 0x00 } },
    [Q_KEY_CODE_HELP] = { 0xf5, { 0xe075, 0x00, 0x09 } },
    [Q_KEY_CODE_META_L] = { 0xdb, { 0xe05b, 0xe01f, 0x8b } },
    [Q_KEY_CODE_META_R] = { 0xdc, { 0xe05c, 0xe027, 0x8c } },
    [Q_KEY_CODE_COMPOSE] = { 0xdd, { 0xe05d, 0xe02f, 0x8d } },
    [Q_KEY_CODE_PAUSE] = { 0xc6, { 0x00, 0x00, 0x62 } },
    [Q_KEY_CODE_RO] = { 0x73, { 0x73, 0x51, 0x00 } },
    [Q_KEY_CODE_HIRAGANA] = { 0x77, { 0x77, 0x62, 0x87 } },
    [Q_KEY_CODE_HENKAN] = { 0x79, { 0x79, 0x64, 0x86 } },
    [Q_KEY_CODE_YEN] = { 0x7d, { 0x7d, 0x6a, 0x5d } },
    [Q_KEY_CODE_MUHENKAN] = { 0x7b, { 0x7b, 0x67, 0x85 } },
    [Q_KEY_CODE_KATAKANAHIRAGANA] = { 0x70, { 0x70, 0x13, 0x87 } },
    [Q_KEY_CODE_KP_COMMA] = { 0x7e, { 0x7e, 0x6d, 0x00 } },
    [Q_KEY_CODE_KP_EQUALS] = { 0x59, { 0x59, 0x0f, 0x00 } },
    [Q_KEY_CODE_POWER] = { 0xde, { 0xe05e, 0xe037, 0x00 } },
    [Q_KEY_CODE_SLEEP] = { 0xdf, { 0xe05f, 0xe03f, 0x00 } },
    [Q_KEY_CODE_WAKE] = { 0xe3, { 0xe063, 0xe05e, 0x00 } },
    [Q_KEY_CODE_AUDIONEXT] = { 0x99, { 0xe019, 0xe04d, 0x93 } },
    [Q_KEY_CODE_AUDIOPREV] = { 0x90, { 0xe010, 0xe015, 0x94 } },
    [Q_KEY_CODE_AUDIOSTOP] = { 0xa4, { 0xe024, 0xe03b, 0x98 } },
    [Q_KEY_CODE_AUDIOPLAY] = { 0xa2, { 0xe022, 0xe034, 0x00 } },
    [Q_KEY_CODE_AUDIOMUTE] = { 0xa0, { 0xe020, 0xe023, 0x9c } },
    [Q_KEY_CODE_VOLUMEUP] = { 0xb0, { 0xe030, 0xe032, 0x95 } },
    [Q_KEY_CODE_VOLUMEDOWN] = { 0xae, { 0xe02e, 0xe021, 0x9d } },
    [Q_KEY_CODE_MEDIASELECT] = { 0xed, { 0xe06d, 0xe050, 0x00 } },
    [Q_KEY_CODE_MAIL] = { 0xec, { 0xe06c, 0xe048, 0x00 } },
    [Q_KEY_CODE_CALCULATOR] = { 0xa1, { 0xe021, 0xe02b, 0xa3 } },
    [Q_KEY_CODE_COMPUTER] = { 0xeb, { 0xe06b, 0xe040, 0x00 } },
    [Q_KEY_CODE_AC_HOME] = { 0xb2, { 0xe032, 0xe03a, 0x97 } },
    [Q_KEY_CODE_AC_BACK] = { 0xea, { 0xe06a, 0xe038, 0x00 } },
    [Q_KEY_CODE_AC_FORWARD] = { 0xe9, { 0xe069, 0xe030, 0x00 } },
    [Q_KEY_CODE_AC_REFRESH] = { 0xe7, { 0xe067, 0xe020, 0x00 } },
    [Q_KEY_CODE_AC_BOOKMARKS] = { 0xe6, { 0xe066, 0xe018, 0x00 } },
    [Q_KEY_CODE_LANG1] = { 0x72, { 0x72, 0x00, 0x00 } },
    [Q_KEY_CODE_LANG2] = { 0x71, { 0x71, 0x00, 0x00 } },
    [Q_KEY_CODE_F13] = { 0x5d, { 0x5d, 0x2f, 0x7f } },
    [Q_KEY_CODE_F14] = { 0x5e, { 0x5e, 0x37, 0x80 } },
    [Q_KEY_CODE_F15] = { 0x5f, { 0x5f, 0x3f, 0x81 } },
    [Q_KEY_CODE_F16] = { 0x55, { 0x55, 0x00, 0x82 } },
    [Q_KEY_CODE_F17] = { 0x83, { 0xe003, 0x00, 0x83 } },
    [Q_KEY_CODE_F18] = { 0xf7, { 0xe077, 0x00, 0x00 } },
    [Q_KEY_CODE_F19] = { 0x84, { 0xe004, 0x00, 0x00 } },
    [Q_KEY_CODE_F20] = { 0x5a, { 0x5a, 0x00, 0x00 } },
    [Q_KEY_CODE_F21] = { 0x74, { 0x74, 0x00, 0x00 } },
    [Q_KEY_CODE_F22] = { 0xf9, { 0xe079, 0x00, 0x00 } },
    [Q_KEY_CODE_F23] = { 0x6d, { 0x6d, 0x00, 0x00 } },
    [Q_KEY_CODE_F24] = { 0x6f, { 0x6f, 0x00, 0x00 } },
};
/* clang-format on */

/* Two keys have one number: the later of QKeyCode is found. */
static uint8_t from_number[256];

static void __attribute__((constructor)) index_numbers(void)
{
    for (int key = 0; key < Q_KEY_CODE_COUNT; key++) {
        from_number[keys[key].number] = keys[key].number ? key : 0;
    }
}

unsigned input_key_to_number(QKeyCode key)
{
    return keys[key].number;
}

QKeyCode input_key_from_number(int64_t number)
{
    return number > 0 && number < (int64_t)G_N_ELEMENTS(from_number) ? from_number[number]
                                                                     : Q_KEY_CODE_UNMAPPED;
}

bool input_key_parse(const char *name, size_t len, QKeyCode *key)
{
    g_autofree char *word = g_strndup(name, len);
    int code = qapi_parse_QKeyCode(strcmp(word, "<") ? word : "less");
    char *end;
    guint64 number;

    if (code >= 0) {
        *key = code;
        return true;
    }
    if (!g_str_has_prefix(word, "0x") || !word[2]) {
        return false;
    }
    number = g_ascii_strtoull(word + 2, &end, 16);
    *key = input_key_from_number(MIN(number, 0xffff));
    return !*end;
}

static unsigned modifier_bit(QKeyCode key)
{
    switch (key) {
    case Q_KEY_CODE_ALT:
        return INPUT_MODIFIER_ALT;
    case Q_KEY_CODE_ALT_R:
        return INPUT_MODIFIER_ALT_R;
    case Q_KEY_CODE_CTRL:
        return INPUT_MODIFIER_CTRL;
    case Q_KEY_CODE_CTRL_R:
        return INPUT_MODIFIER_CTRL_R;
    case Q_KEY_CODE_SHIFT:
        return INPUT_MODIFIER_SHIFT;
    case Q_KEY_CODE_SHIFT_R:
        return INPUT_MODIFIER_SHIFT_R;
    default:
        return 0;
    }
}

unsigned input_modifiers(unsigned modifiers, QKeyCode key, bool down)
{
    unsigned bit = modifier_bit(key);

    return down ? modifiers | bit : modifiers & ~bit;
}

/* ---- sequences ------------------------------------------------------------------------------------- */

static unsigned put_code(unsigned set, unsigned code, bool down, uint8_t *bytes)
{
    unsigned n = 0;

    if (code >> 8) {
        bytes[n++] = code >> 8;
    }
    if (set == 1) {
        bytes[n++] = down ? code : code | 0x80;
    } else {
        if (!down) {
            bytes[n++] = 0xf0;
        }
        bytes[n++] = code;
    }
    return n;
}

/* Print Screen in sets 1 and 2: with Alt it is SysRq, inside of the modifier; alone it fakes a Shift. */
static unsigned put_print(unsigned set, bool down, unsigned modifiers, uint8_t *bytes)
{
    const Key *alt = &keys[modifiers & INPUT_MODIFIER_ALT ? Q_KEY_CODE_ALT : Q_KEY_CODE_ALT_R];
    unsigned print = keys[Q_KEY_CODE_PRINT].code[set - 1];
    unsigned shift = 0xe000 | keys[Q_KEY_CODE_SHIFT].code[set - 1];
    unsigned n = 0;

    if (modifiers & (INPUT_MODIFIER_ALT | INPUT_MODIFIER_ALT_R)) {
        if (!down) {
            n += put_code(set, set == 1 ? 0x54 : 0x84, false, bytes + n);
        }
        n += put_code(set, alt->code[set - 1], false, bytes + n);
        n += put_code(set, alt->code[set - 1], true, bytes + n);
        if (down) {
            n += put_code(set, set == 1 ? 0x54 : 0x84, true, bytes + n);
        }
    } else if (modifiers) {
        n += put_code(set, print, down, bytes);
    } else if (down) {
        n += put_code(set, shift, true, bytes + n);
        n += put_code(set, print, true, bytes + n);
    } else {
        n += put_code(set, print, false, bytes + n);
        n += put_code(set, shift, false, bytes + n);
    }
    return n;
}

/* Pause in sets 1 and 2: make and break come together when it is pressed; with Ctrl it is Break. */
static unsigned put_pause(unsigned set, bool down, unsigned modifiers, uint8_t *bytes)
{
    static const uint8_t pause1[] = { 0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5 };
    static const uint8_t pause2[] = { 0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77 };
    static const uint8_t break1[] = { 0xe0, 0x46, 0xe0, 0xc6 };
    static const uint8_t break2[] = { 0xe0, 0x7e, 0xe0, 0xf0, 0x7e };
    bool is_break = modifiers & (INPUT_MODIFIER_CTRL | INPUT_MODIFIER_CTRL_R);
    const uint8_t *sequence = set == 1 ? (is_break ? break1 : pause1) : is_break ? break2 : pause2;
    unsigned n = set == 1   ? (is_break ? sizeof(break1) : sizeof(pause1))
                 : is_break ? sizeof(break2)
                            : sizeof(pause2);

    if (!down) {
        return 0;
    }
    memcpy(bytes, sequence, n);
    return n;
}

unsigned input_key_sequence(unsigned set, QKeyCode key, bool down, unsigned modifiers,
                            uint8_t bytes[INPUT_SEQUENCE_MAX])
{
    unsigned code = keys[key].code[set - 1];

    if (set != 3 && (key == Q_KEY_CODE_PRINT || key == Q_KEY_CODE_SYSRQ)) {
        return put_print(set, down, modifiers, bytes);
    }
    if (set != 3 && key == Q_KEY_CODE_PAUSE) {
        return put_pause(set, down, modifiers, bytes);
    }
    if (!down && (key == Q_KEY_CODE_LANG1 || key == Q_KEY_CODE_LANG2)) {
        return 0; /* a Korean keyboard does not tell */
    }
    return code ? put_code(set, code, down, bytes) : 0;
}
