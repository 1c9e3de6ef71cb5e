// Of System.Runtime.CompilerServices.Unsafe, the methods that Google.Protobuf calls: Mono keeps its own class internal. A
// managed reference made from a pinned one stays valid after the pin, because the collector updates it.
namespace System.Runtime.CompilerServices
{
    internal static unsafe class Unsafe
    {
        public static void WriteUnaligned(ref byte to, float value) { fixed (byte* p = &to) { *(float*)p = value; } }
        public static void WriteUnaligned(ref byte to, double value) { fixed (byte* p = &to) { *(double*)p = value; } }
        public static T ReadUnaligned<T>(ref byte from)
        {
            fixed (byte* p = &from)
            {
                if (typeof(T) == typeof(ulong)) return (T)(object)*(ulong*)p;
                if (typeof(T) == typeof(double)) return (T)(object)*(double*)p;
                return (T)(object)*(float*)p;
            }
        }
        public static ref byte As<TFrom, TTo>(ref char from) { fixed (char* p = &from) { return ref *(byte*)p; } }
        public static ref byte Add(ref byte from, int n) { fixed (byte* p = &from) { return ref *(p + n); } }
        public static ref byte AddByteOffset(ref byte from, IntPtr n) { fixed (byte* p = &from) { return ref *(p + (long)n); } }
        public static ref char AddByteOffset(ref char from, IntPtr n) { fixed (char* p = &from) { return ref *(char*)((byte*)p + (long)n); } }
    }
}
